/** A sidecar process that is sent far more than it and its application can do. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Liveness } from "../../src/agent/sidecars/liveness.ts";
import { present } from "../../src/base/error.ts";
import { createLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/cli/system-clock.ts";
import { findProcess, isAlive } from "../../src/kernel/process-id.ts";
import { ports } from "../../src/model/names.ts";
import { needsRoot, Scratch } from "./kernel-scratch.ts";
import {
  curl,
  overSocket,
  podAddress,
  podAndOutside,
  serve,
  startLoad,
  startSidecar,
} from "./pod-with-sidecar.ts";

const serviceMs = 50;
const workers = 8;
const maxRequests = 16;
const agentPatienceMs = 20_000;
const quiet = { clock: systemClock, log: createLog(() => {}, Date.now) };
const url = `http://${podAddress}:8080/`;

describe("a sidecar with twenty times the requests that it may have under way", {
  skip: needsRoot,
}, () => {
  test("serves as many as before, refuses the rest quickly, stays small, and answers for itself", async (t) => {
    using scratch = new Scratch();
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-overload-"));
    scratch.defer(() => rmSync(folder, { recursive: true, force: true }));
    const { pod, outside } = podAndOutside(scratch);
    const app = new Workers();
    await serve(scratch, pod, 8080, (_, response) => app.serve(() => response.end("served")));
    const adminSocket = join(folder, "admin.sock");
    const sidecar = await startSidecar(scratch, folder, pod, adminSocket, {
      limits: { maxRequests },
    });

    const calm = await served(app, () => startLoad(outside, url, 2, maxRequests / 2));
    assert.doesNotMatch(calm.report, /Non-2xx/);
    const residentBefore = residentMiB(sidecar.pid);

    let slowestMs = 0;
    const sidecarProcess = present(findProcess(sidecar.pid ?? 0), "the sidecar's process");
    const liveness = new Liveness({ patienceMs: agentPatienceMs / 2, ...quiet });
    scratch.defer(() => liveness.close());
    liveness.watch(sidecarProcess, { socketPath: adminSocket, path: "/ready" });
    const watched = new AbortController();
    const watching = watch(watched.signal, async () => {
      const before = performance.now();
      assert.equal(await overSocket(adminSocket, "/ready"), "LIVE\n");
      assert.equal(
        await curl(outside, `http://${podAddress}:${ports.readiness}/healthz/ready`),
        "LIVE\n",
      );
      slowestMs = Math.max(slowestMs, performance.now() - before);
    });
    const storm = await served(app, () => startLoad(outside, url, 4, maxRequests * 20));
    watched.abort();
    await watching;
    assert(isAlive(sidecarProcess), "it is busy, and not hanging");

    const refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(storm.report)?.[1]);
    const p99 = /99%\s+([\d.]+)(us|ms|s)/.exec(storm.report);
    const unitMs =
      new Map([
        ["us", 0.001],
        ["ms", 1],
        ["s", 1_000],
      ]).get(p99?.[2] ?? "s") ?? 0;
    const p99Ms = Number(p99?.[1]) * unitMs;
    const grownMiB = residentMiB(sidecar.pid) - residentBefore;
    assert(refused > 0, storm.report);
    assert(app.mostAtOnce <= maxRequests, `${app.mostAtOnce} at a time`);
    // The same where the machine has time: what is told below. Who collapsed would serve next to nothing.
    assert(storm.perSecond > 0.3 * calm.perSecond, `${storm.perSecond} of ${calm.perSecond}/s`);
    t.diagnostic(
      `${storm.perSecond.toFixed()} of ${calm.perSecond.toFixed()}/s served, ${refused} refused, 99 % within ${p99Ms.toFixed()} ms, readiness within ${slowestMs.toFixed()} ms, ${grownMiB.toFixed()} MiB more`,
    );
    assert(p99Ms < 8_000, `99 % of answers within ${p99Ms} ms`);
    assert(slowestMs < 8_000, `readiness and admin took ${slowestMs} ms`);
    assert(grownMiB < 64, `${grownMiB} MiB more`);
    const metrics = await overSocket(adminSocket, "/stats/prometheus");
    assert.match(metrics, /istio_requests_total\{[^}]*response_flags="OM"/);
    // What the load had under way when it left is still answered; there is room again as soon as that is.
    const ended = performance.now();
    while ((await curl(outside, url)) !== "served") {
      assert(performance.now() - ended < 20_000, "it does not take requests again");
    }
    for (let i = 0; i < 5; i++) assert.equal(await curl(outside, url), "served");
  });
});

/** An application that serves so many requests at a time, and lets the others wait. */
class Workers {
  served = 0;
  mostAtOnce = 0;
  #inside = 0;
  #busy = 0;
  readonly #waiting: (() => void)[] = [];

  serve(answer: () => void): void {
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#inside);
    this.#waiting.push(answer);
    this.#next();
  }

  #next(): void {
    if (this.#busy === workers) return;
    const answer = this.#waiting.shift();
    if (answer === undefined) return;
    this.#busy++;
    setTimeout(() => {
      this.#busy--;
      this.#inside--;
      this.served++;
      answer();
      this.#next();
    }, serviceMs);
  }
}

async function served(
  app: Workers,
  load: () => Promise<string>,
): Promise<{ readonly perSecond: number; readonly report: string }> {
  const [before, from] = [app.served, performance.now()];
  const report = await load();
  return { perSecond: ((app.served - before) * 1_000) / (performance.now() - from), report };
}

async function watch(signal: AbortSignal, look: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await look();
    await sleep(100);
  }
}

function residentMiB(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}
