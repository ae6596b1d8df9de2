/**
 * A worker that is the sidecar of several pods. The pods have the same address and talk to the same address, each in a
 * network of its own: whatever of one got into another would be answered by the wrong name.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { until } from "../../src/agent/fake/calls.ts";
import { removePod, retirePod } from "../../src/agent/sidecars/worker-client.ts";
import { ports, proxyUid } from "../../src/model/names.ts";
import { needsRoot } from "./kernel-scratch.ts";
import { curl, outsideAddress, overSocket, podAddress, startLoad } from "./pod-with-sidecar.ts";
import { type Worker, type WorkerPod, WorkerScene } from "./worker-scene.ts";

describe("a worker for many pods", { skip: needsRoot }, () => {
  test("serves each in its own network, with its own counters, configuration and desks", async () => {
    await using scene = new WorkerScene();
    const worker = await scene.worker();
    const pods = [await scene.pod("a"), await scene.pod("b")] as const;
    for (const pod of pods) await scene.give(worker, pod);
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
    await using scene = new WorkerScene();
    const worker = await scene.worker();
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
    await using scene = new WorkerScene();
    const worker = await scene.worker();
    const [a, b] = [await scene.pod("a"), await scene.pod("b")];
    await scene.give(worker, a);
    const before = descriptors(worker);
    const served = await scene.give(worker, b);
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
    await using scene = new WorkerScene();
    const [first, second] = [await scene.worker(), await scene.worker("shared-2")];
    const [a, b] = [await scene.pod("a"), await scene.pod("b")];
    const served = await scene.give(first, a);
    await scene.give(second, b);
    first.child.kill("SIGKILL");
    await served.ended;
    await assert.rejects(curl(a.pod, `http://${outsideAddress}/`));
    await assert.rejects(curl(a.outside, `http://${podAddress}:8080/`));
    assert.equal(await curl(b.pod, `http://${outsideAddress}/`), "outside of b");
    await scene.give(second, a);
    assert.equal(await curl(a.pod, `http://${outsideAddress}/`), "outside of a");
  });

  test("hands a pod over to another worker while it serves, and no connection is refused or broken", async () => {
    await using scene = new WorkerScene();
    const [first, second] = [await scene.worker(), await scene.worker("shared-2")];
    const [a, b] = [await scene.pod("a"), await scene.pod("b")];
    for (const pod of [a, b]) await scene.give(first, pod);
    const load = startLoad(a.outside, `http://${podAddress}:8080/`, 3);
    for (const pod of [a, b]) {
      await scene.give(second, pod, first.pid);
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
    await using scene = new WorkerScene();
    const worker = await scene.worker();
    const a = await scene.pod("a");
    await scene.give(worker, a);
    const absent = { ...(await scene.pod("b")), pod: "/run/netns/heddle-test-absent" };
    await assert.rejects(scene.give(worker, absent), /heddle-test-absent/);
    const again = await scene.give(worker, a);
    assert.ok(again.ended instanceof Promise, "asking twice is the same as asking once");
    assert.equal(await curl(a.pod, `http://${outsideAddress}/`), "outside of a");
  });
});

async function requestsOf({ adminSocket }: WorkerPod): Promise<number> {
  const text = await overSocket(adminSocket, "/stats/prometheus");
  return Number(/istio_requests_total\{reporter="destination".* (\d+)$/m.exec(text)?.[1]);
}

function descriptors({ pid }: Worker): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
