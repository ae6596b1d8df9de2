/**
 * A worker that is the sidecar of several pods. The pods have the same address and talk to the same address, each in a
 * network of its own: whatever of one got into another would be answered by the wrong name.
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { describe, test } from "node:test";
import { until } from "../../src/agent/fake/calls.ts";
import {
  givePod,
  removePod,
  retirePod,
  type ServedPod,
} from "../../src/agent/sidecars/worker-client.ts";
import { ports, proxyUid } from "../../src/model/names.ts";
import { labels, node } from "../../src/proxy/testing/mesh.ts";
import { needsRoot, Scratch } from "./kernel-scratch.ts";
import {
  config,
  curl,
  outsideAddress,
  overSocket,
  podAddress,
  podAndOutside,
  serve,
  startLoad,
} from "./pod-with-sidecar.ts";

describe("a worker for many pods", { skip: needsRoot }, () => {
  test("serves each in its own network, with its own counters, configuration and desks", async () => {
    await using bench = new Bench();
    const worker = await bench.worker();
    const pods = [await bench.pod("a"), await bench.pod("b")] as const;
    for (const pod of pods) await bench.give(worker, pod);
    for (const { name, pod, outside } of pods) {
      assert.equal(await curl(pod, `http://${outsideAddress}/`), `outside of ${name}`);
      assert.equal(await curl(outside, `http://${podAddress}:8080/`), `application of ${name}`);
      const probe = `http://${podAddress}:${ports.readiness}/healthz/ready`;
      assert.equal(await curl(outside, probe), "LIVE\n");
    }
    const [a, b] = pods;
    for (let i = 0; i < 3; i++) await curl(a.outside, `http://${podAddress}:8080/`);
    assert.deepEqual(
      [await requestsOf(a), await requestsOf(b)],
      [4, 1],
      "each pod counts its own requests",
    );
    const infos = await Promise.all(
      pods.map(async ({ adminSocket }) =>
        JSON.parse(await overSocket(adminSocket, "/server_info")),
      ),
    );
    assert.deepEqual(
      infos.map(({ worker: name, mode, node: id }) => [name, mode, String(id).includes("cart-")]),
      [
        ["shared-1", "shared", true],
        ["shared-1", "shared", true],
      ],
    );
  });

  test("has no network of its own, and no right but to enter others'", async () => {
    await using bench = new Bench();
    const worker = await bench.worker();
    const status = readFileSync(`/proc/${worker.pid}/status`, "utf8");
    assert.match(status, new RegExp(`^Uid:\\s+${proxyUid}\\s+${proxyUid}`, "m"));
    // CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN
    assert.match(status, /^CapEff:\s+0000000000280004$/m);
    assert.match(status, /^CapInh:\s+0000000000000000$/m);
    const links = readFileSync(`/proc/${worker.pid}/net/dev`, "utf8").match(/^\s*\S+:/gm);
    assert.deepEqual(
      links?.map((each) => each.trim()),
      ["lo:"],
    );
  });

  test("lets go of everything of a pod that is taken away, and ends with its last", async () => {
    await using bench = new Bench();
    const worker = await bench.worker();
    const [a, b] = [await bench.pod("a"), await bench.pod("b")];
    await bench.give(worker, a);
    const before = descriptors(worker);
    const served = await bench.give(worker, b);
    await curl(b.pod, `http://${outsideAddress}/`);
    assert.ok(descriptors(worker) > before);
    assert.ok(await removePod(worker.socket, b.id, 100));
    await served.ended;
    // The two connections that these words came by are closed a moment later.
    await until(() => descriptors(worker) === before);
    assert.equal(await curl(a.pod, `http://${outsideAddress}/`), "outside of a");
    assert.ok(await removePod(worker.socket, b.id, 100), "taking away what is gone is success");
    assert.ok(await removePod(worker.socket, a.id, 100));
    await worker.ended;
    assert.equal(worker.child.exitCode, 0);
  });

  test("that is killed leaves its pods captured and without a way out, and others' alone", async () => {
    await using bench = new Bench();
    const [first, second] = [await bench.worker(), await bench.worker("shared-2")];
    const [a, b] = [await bench.pod("a"), await bench.pod("b")];
    const served = await bench.give(first, a);
    await bench.give(second, b);
    first.child.kill("SIGKILL");
    await served.ended;
    await assert.rejects(curl(a.pod, `http://${outsideAddress}/`));
    await assert.rejects(curl(a.outside, `http://${podAddress}:8080/`));
    assert.equal(await curl(b.pod, `http://${outsideAddress}/`), "outside of b");
    await bench.give(second, a);
    assert.equal(await curl(a.pod, `http://${outsideAddress}/`), "outside of a");
  });

  test("hands a pod over to another worker while it serves, and no connection is refused or broken", async () => {
    await using bench = new Bench();
    const [first, second] = [await bench.worker(), await bench.worker("shared-2")];
    const [a, b] = [await bench.pod("a"), await bench.pod("b")];
    for (const pod of [a, b]) await bench.give(first, pod);
    const load = startLoad(a.outside, `http://${podAddress}:8080/`, 3);
    for (const pod of [a, b]) {
      await bench.give(second, pod, first.pid);
      await retirePod(first.socket, pod.id);
    }
    await first.ended; // with its last pod
    assert.match(await load, /requests in/);
    assert.doesNotMatch(await load, /Socket errors|Non-2xx/);
    for (const { name, pod, outside } of [a, b]) {
      assert.equal(await curl(pod, `http://${outsideAddress}/`), `outside of ${name}`);
      assert.equal(await curl(outside, `http://${podAddress}:8080/`), `application of ${name}`);
    }
  });

  test("refuses a pod that it cannot serve in words, and goes on with the others", async () => {
    await using bench = new Bench();
    const worker = await bench.worker();
    const a = await bench.pod("a");
    await bench.give(worker, a);
    const absent = { ...(await bench.pod("b")), pod: "/run/netns/heddle-test-absent" };
    await assert.rejects(bench.give(worker, absent), /heddle-test-absent/);
    const again = await bench.give(worker, a);
    assert.ok(again.ended instanceof Promise, "asking twice is the same as asking once");
    assert.equal(await curl(a.pod, `http://${outsideAddress}/`), "outside of a");
  });
});

interface Worker {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly socket: string;
  readonly ended: Promise<unknown>;
}

interface TestPod {
  /** Paths of network namespaces. */
  readonly pod: string;
  readonly outside: string;
  readonly id: string;
  readonly name: string;
  readonly adminSocket: string;
  readonly folder: string;
}

class Bench implements AsyncDisposable {
  readonly #scratch = new Scratch();
  readonly #folder = mkdtempSync(join(tmpdir(), "heddle-test-worker-"));
  readonly #workers: Worker[] = [];

  constructor() {
    chmodSync(this.#folder, 0o711);
    writeFileSync(this.#snapshot, JSON.stringify({ version: "7", config: config(), secrets: [] }));
    this.#scratch.defer(() => rmSync(this.#folder, { recursive: true, force: true }));
  }

  get #snapshot(): string {
    return join(this.#folder, "snapshot.json");
  }

  async worker(name = "shared-1"): Promise<Worker> {
    const script = join(import.meta.dirname, "proxy-process.ts");
    const child = spawn(process.execPath, [script, this.#snapshot], {
      stdio: ["ignore", "inherit", "inherit", "pipe"],
    });
    const { pid = 0 } = child;
    const socket = join(this.#folder, `${name}.${pid}.sock`);
    const worker = { child, pid, socket, ended: once(child, "exit") };
    this.#workers.push(worker);
    const channel = child.stdio[3] as Duplex;
    channel.write(`${JSON.stringify({ uid: proxyUid, worker: { name, socket } })}\n`);
    const [answer] = (await once(channel, "data")) as [Buffer];
    assert.equal(answer.toString(), '{"ready":true}\n');
    return worker;
  }

  async pod(name: string): Promise<TestPod> {
    const captured = podAndOutside(this.#scratch);
    await serve(this.#scratch, captured.pod, 8080, `application of ${name}`);
    await serve(this.#scratch, captured.outside, 80, `outside of ${name}`);
    const folder = join(this.#folder, name);
    mkdirSync(folder);
    chownSync(folder, proxyUid, proxyUid); // as the agent does
    return {
      ...captured,
      id: `container-${name}`,
      name,
      folder,
      adminSocket: join(folder, "admin.sock"),
    };
  }

  async give(worker: Worker, pod: TestPod, predecessor?: number): Promise<ServedPod> {
    const assignment = {
      netns: pod.pod,
      ...(predecessor === undefined ? {} : { predecessor }),
      logFile: join(pod.folder, "proxy.log"),
      bootstrap: {
        proxy: node(labels("shop", "cart"), podAddress),
        xdsSocket: "",
        adminSocket: pod.adminSocket,
        trustDomain: "cluster.local",
      },
    };
    // Whose patience ends later must not end what was given.
    const patience = new AbortController();
    const late = setTimeout(() => patience.abort(), 20_000);
    const served = await givePod(worker.socket, pod.id, assignment, patience.signal).finally(() =>
      clearTimeout(late),
    );
    patience.abort();
    return served;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, ended } of this.#workers) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await ended;
    }
    this.#scratch[Symbol.dispose]();
  }
}

async function requestsOf({ adminSocket }: TestPod): Promise<number> {
  const text = await overSocket(adminSocket, "/stats/prometheus");
  return Number(/istio_requests_total\{reporter="destination".* (\d+)$/m.exec(text)?.[1]);
}

function descriptors({ pid }: Worker): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
