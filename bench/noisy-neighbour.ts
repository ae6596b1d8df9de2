/**
 * What does a pod pay for a neighbour that asks for all it can get, in another worker and in the same?
 *
 * The quiet pod has one connection that asks again as soon as it is answered. The noisy one has 64. Workers are pinned to
 * one core and everything else to the other, so that the neighbour in another worker takes half a core as well: what
 * is left of the difference is what the event loop has in common.
 */

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inNetns } from "../src/kernel/netns.ts";
import { podAddress, startLoad } from "../test/netns/pod-with-sidecar.ts";
import { type WorkerPod, WorkerScene } from "../test/netns/worker-scene.ts";
import { medianOf, round } from "./figures.ts";
import type { BenchResult } from "./result.ts";

const rounds = 3;
const seconds = 3;
const noisyConnections = 64;

interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requestsPerSecond: number;
}

export async function run(): Promise<BenchResult> {
  if (process.getuid?.() !== 0) throw new Error("bench noisy-neighbour: needs root");
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  await using scene = new WorkerScene();
  const [first, second] = [await scene.worker("shared-1"), await scene.worker("shared-2")];
  for (const { pid } of [first, second]) execFileSync("taskset", ["-a", "-p", "-c", "0", `${pid}`]);
  execFileSync("taskset", ["-a", "-p", "-c", "1", `${process.pid}`]); // and what is started from here
  const names = ["quiet", "together", "apart"] as const;
  const [quiet, together, apart] = names.map((name) => scene.emptyPod(name));
  if (quiet === undefined || together === undefined || apart === undefined) throw new Error();
  using _servers = serveAll([quiet, together, apart], folder);
  await scene.give(first, quiet);
  await scene.give(first, together);
  await scene.give(second, apart);

  await load(quiet, 1); // warm-up
  const measured: Record<"alone" | "apart" | "together", Latency[]> = {
    ...{ alone: [], apart: [], together: [] },
  };
  const noise: number[] = [];
  for (let i = 0; i < rounds; i++) {
    measured.alone.push(await load(quiet, 1));
    for (const [name, noisy] of [["apart", apart] as const, ["together", together] as const]) {
      const [own, others] = await Promise.all([load(quiet, 1), load(noisy, noisyConnections)]);
      measured[name].push(own);
      if (name === "together") noise.push(others.requestsPerSecond);
    }
  }
  const median = (all: readonly Latency[], of: keyof Latency) =>
    round(medianOf(all.map((each) => each[of])));
  const summary = (all: readonly Latency[]) => ({
    p50Ms: median(all, "p50Ms"),
    p99Ms: median(all, "p99Ms"),
    requestsPerSecond: median(all, "requestsPerSecond"),
  });
  const ours = median(measured.together, "p99Ms");
  const floor = median(measured.alone, "p99Ms");
  const other = median(measured.apart, "p99Ms");
  return {
    bench: "noisy-neighbour",
    unit: "milliseconds, p99 of a pod with one connection beside one with 64 in the same worker",
    ours,
    floor,
    rivals: { "in another worker": other },
    ratio: { floor: round(ours / floor), "in another worker": round(ours / other) },
    growth: [],
    details: {
      alone: summary(measured.alone),
      apart: summary(measured.apart),
      together: summary(measured.together),
      noisyRequestsPerSecond: round(medianOf(noise)),
    },
  };
}

/** A server in each pod that costs next to nothing. */
function serveAll(pods: readonly WorkerPod[], folder: string): Disposable {
  const file = join(folder, "server.cfg");
  writeFileSync(
    file,
    `global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend application
  bind :8080
  http-request return status 200 content-type text/plain string "ok"
`,
  );
  const servers = pods.map(({ pod }) =>
    inNetns(pod, () => spawn("haproxy", ["-db", "-q", "-f", file], { stdio: "ignore" })),
  );
  return {
    [Symbol.dispose]() {
      for (const server of servers) server.kill("SIGKILL");
    },
  };
}

async function load({ outside }: WorkerPod, connections: number): Promise<Latency> {
  const text = await startLoad(outside, `http://${podAddress}:8080/`, seconds, connections);
  if (/Non-2xx|Socket errors/.test(text)) throw new Error(`bench noisy-neighbour: ${text}`);
  return {
    p50Ms: milliseconds(/50%\s+(\S+)/.exec(text)?.[1]),
    p99Ms: milliseconds(/99%\s+(\S+)/.exec(text)?.[1]),
    requestsPerSecond: Number(/Requests\/sec:\s+(\S+)/.exec(text)?.[1]),
  };
}

/** As wrk writes durations. */
function milliseconds(text = ""): number {
  const [, value, unit = ""] = /^([\d.]+)(us|ms|s)$/.exec(text) ?? [];
  const factors: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000 };
  return Number(value) * (factors[unit] ?? Number.NaN);
}
