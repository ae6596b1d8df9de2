import assert from "node:assert/strict";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { add, children, del, nothingLeft, until } from "../fake/calls.ts";
import { type FakeNode, startFakeNode } from "../fake/node.ts";

describe("sidecars that share workers", () => {
  test("are spread over them, and a worker ends with its last pod", async () => {
    await using node = await sharedNode();
    await addAll(node, ["a", "b", "c", "d"]);
    const { attachments, workers } = await node.status();
    const workersOf = attachments.map(({ sidecar }) => sidecar?.kind === "ready" && sidecar.worker);
    assert.deepEqual(workersOf.toSorted(), ["shared-1", "shared-1", "shared-2", "shared-2"]);
    assert.deepEqual(
      workers.map(({ name, pods }) => [name, pods]),
      [
        ["shared-1", 2],
        ["shared-2", 2],
      ],
    );
    const pids = workers.map(({ pid }) => pid);
    for (const id of ["a", "b", "c", "d"]) assert.equal((await del(node, id)).exitCode, 0);
    await nothingLeft(node);
    await until(() => pids.every((pid) => !existsSync(`/proc/${pid}`)));
    assert.deepEqual((await node.status()).workers, []);
    await until(() => sockets(node).length === 0);
  });

  test("come back together when their worker is killed, and those of others stay", async () => {
    await using node = await sharedNode();
    await addAll(node, ["a", "b", "c", "d"]);
    const before = await placesOf(node);
    const [killed = 0] = before.values();
    process.kill(killed, "SIGKILL");
    let after = before;
    await until(async () => {
      after = await placesOf(node);
      return [...after.values()].every((pid) => pid !== killed && pid !== 0);
    });
    for (const [pod, pid] of before) {
      if (pid === killed) assert.notEqual(after.get(pod), pid);
      else assert.equal(after.get(pod), pid);
    }
    assert.equal(new Set(after.values()).size, 2, "one new process for all that were in it");
    const { workers } = await node.status();
    assert.deepEqual(workers.map(({ restarts }) => restarts).toSorted(), [0, 1]);
  });

  test("are replaced together when their worker neither answers nor dies, also one that was adopted", async () => {
    await using node = await sharedNode({ sidecarPatienceMs: 3_000 });
    await addAll(node, ["a", "b", "c", "d"]);
    for (const isAdopted of [false, true]) {
      if (isAdopted) await node.restart();
      const before = await placesOf(node);
      const [hanging = 0] = before.values();
      process.kill(hanging, "SIGSTOP");
      await until(async () => {
        const pids = [...(await placesOf(node)).values()];
        return pids.every((pid) => pid !== hanging && pid !== 0);
      });
      const after = await placesOf(node);
      for (const [pod, pid] of before) assert.equal(after.get(pod) === pid, pid !== hanging);
    }
  });

  test("are watched in both processes of a name that an unfinished upgrade left to the next agent", async () => {
    for (const hanging of ["a", "b"]) {
      await using node = await sharedNode({ sidecarWorkers: 1, sidecarPatienceMs: 3_000 });
      await addAll(node, ["a", "b"]);
      const flag = join(node.options.runDir, "pods/b/refuse");
      writeFileSync(flag, "");
      await assert.rejects(node.upgrade());
      await node.restart();
      rmSync(flag);
      const before = await placesOf(node);
      assert.equal(new Set(before.values()).size, 2, "one moved, and one did not");
      const pid = before.get(`shop/${hanging}`) ?? 0;
      process.kill(pid, "SIGSTOP");
      await until(
        async () => ![0, pid].includes((await placesOf(node)).get(`shop/${hanging}`) ?? 0),
      );
    }
  });

  test("survive the agent and are adopted by the next", async () => {
    await using node = await sharedNode();
    await addAll(node, ["a", "b", "c"]);
    const before = await placesOf(node);
    await node.restart();
    assert.deepEqual(await placesOf(node), before);
    const [killed = 0] = before.values();
    process.kill(killed, "SIGKILL");
    await until(
      async () => ![...(await placesOf(node)).values()].some((pid) => pid === killed || pid === 0),
    );
    writeFileSync(join(node.options.runDir, "workers", `${killed}.sock`), "");
    await node.restart();
    assert.equal(sockets(node).length, 2, "that of the killed one is gone");
    for (const id of ["a", "b", "c"]) assert.equal((await del(node, id)).exitCode, 0);
    await nothingLeft(node);
  });

  test("move to new processes in an upgrade, and to the other mode where that is wanted by now", async () => {
    await using node = await sharedNode();
    await addAll(node, ["a", "b"]);
    const before = [...(await placesOf(node)).values()];
    await node.upgrade();
    const after = [...(await placesOf(node)).values()];
    assert.ok(after.every((pid) => pid !== 0 && !before.includes(pid)));
    await until(() => before.every((pid) => !existsSync(`/proc/${pid}`)));
    await node.restart({ sidecarMode: "dedicated" });
    await node.upgrade();
    const { attachments, workers } = await node.status();
    assert.ok(
      attachments.every(({ sidecar }) => sidecar?.kind === "ready" && sidecar.worker === undefined),
    );
    assert.deepEqual(workers, []);
    await until(() => after.every((pid) => !existsSync(`/proc/${pid}`)));
  });

  test("are what a pod asks for before what the node has", async () => {
    await using node = await startFakeNode();
    node.showPods([
      { name: "a", meshed: true, sidecarMode: "shared" },
      { name: "b", meshed: true },
    ]);
    await add(node, "a", "a", node.makeNetns());
    await add(node, "b", "b", node.makeNetns());
    const { attachments } = await node.status();
    assert.deepEqual(
      attachments.map(({ pod, sidecar }) => [pod, sidecar?.kind === "ready" ? sidecar.worker : ""]),
      [
        ["shop/a", "shared-1"],
        ["shop/b", undefined],
      ],
    );
  });

  test("that are refused leave nothing, and the neighbours as they were", async () => {
    await using node = await sharedNode({ sidecarWorkers: 1 });
    await addAll(node, ["a"]);
    const before = await placesOf(node);
    node.showPods([
      { name: "a", meshed: true },
      { name: "refuse-b", meshed: true },
    ]);
    const refused = await add(node, "b", "refuse-b", node.makeNetns());
    assert.notEqual(refused.exitCode, 0);
    assert.match(refused.stdout, /listen on 15001: in use/);
    assert.deepEqual(await placesOf(node), before);
    await del(node, "a");
    await nothingLeft(node);
  });
});

describe("a worker's name", () => {
  test("does not wait for a pod that had no process when it went", async () => {
    await using node = await sharedNode({ sidecarWorkers: 1 });
    node.showPods(["a", "b"].map((name) => ({ name, meshed: true })));
    const netns = node.makeNetns();
    await add(node, "a", "a", netns);
    const [killed = 0] = (await placesOf(node)).values();
    rmSync(netns); // so that it is not started again
    process.kill(killed, "SIGKILL");
    await until(async () => (await placesOf(node)).get("shop/a") === 0);
    assert.equal((await del(node, "a")).exitCode, 0);
    await add(node, "b", "b", node.makeNetns());
    assert.deepEqual(
      (await node.status()).workers.map(({ pods }) => pods),
      [1],
    );
  });

  test("is kept by its pods while no process can be started for it", async () => {
    await using node = await sharedNode();
    await addAll(node, ["a", "b", "c"]);
    const before = await placesOf(node);
    const pids = [...before.values()];
    const killed = pids.find((pid, at) => pids.indexOf(pid) !== at) ?? 0;
    const pair = [...before.keys()].filter((pod) => before.get(pod) === killed);
    const [other = ""] = [...before.keys()].filter((pod) => !pair.includes(pod));
    await node.stop();
    const flag = join(node.options.runDir, "refuse");
    writeFileSync(flag, "");
    process.kill(killed, "SIGKILL");
    const script = 'test -e "$0" && exit 1; exec "$@"';
    await node.restart({
      sidecarCommand: ["sh", "-c", script, flag, ...node.options.sidecarCommand],
    });
    const states = async () =>
      (await node.status()).attachments.flatMap(({ pod, sidecar }) =>
        pair.includes(pod) && sidecar !== undefined ? [sidecar] : [],
      );
    await until(async () => (await states()).every(({ kind }) => kind === "down"));
    await del(node, other.replace("shop/", ""));
    rmSync(flag);
    await until(async () => (await states()).every(({ kind }) => kind === "ready"));
    const names = (await states()).map((each) => (each.kind === "ready" ? each.worker : ""));
    assert.equal(new Set(names).size, 1, "they are together again");
  });
});

describe("a worker that never gets ready", () => {
  test("holds up no DEL of a pod that was to be given to it", { timeout: 300_000 }, async () => {
    const others = children(); // of tests before, which end as they like
    const started = () => children().filter((pid) => !others.includes(pid));
    await using node = await sharedNode({ sidecarCommand: ["sleep", "60"] });
    node.showPods([{ name: "a", meshed: true }]);
    const adding = add(node, "a", "a", node.makeNetns());
    await until(() => started().length > 0);
    const [worker = 0] = started();
    assert.equal((await del(node, "a")).exitCode, 0);
    assert.notEqual((await adding).exitCode, 0);
    await nothingLeft(node);
    process.kill(worker, "SIGKILL");
  });
});

function sharedNode(more: object = {}): Promise<FakeNode> {
  return startFakeNode({ sidecarMode: "shared", ...more });
}

async function addAll(node: FakeNode, names: readonly string[]): Promise<void> {
  node.showPods(names.map((name) => ({ name, meshed: true })));
  const replies = names.map((name) => add(node, name, name, node.makeNetns()));
  for (const { exitCode, stdout } of await Promise.all(replies)) assert.equal(exitCode, 0, stdout);
}

/** The process that serves each pod; 0 where none does. */
async function placesOf(node: FakeNode): Promise<Map<string, number>> {
  const { attachments } = await node.status();
  return new Map(
    attachments.map(({ pod, sidecar }) => [pod, sidecar?.kind === "ready" ? sidecar.pid : 0]),
  );
}

function sockets(node: FakeNode): string[] {
  return readdirSync(join(node.options.runDir, "workers")).filter((name) => name.endsWith(".sock"));
}
