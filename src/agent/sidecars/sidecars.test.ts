import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { add, sidecarPid, until } from "../fake/calls.ts";
import { startFakeNode } from "../fake/node.ts";

describe("a sidecar", () => {
  test("that is killed is replaced in place at once", async () => {
    await using node = await startFakeNode({ spareSidecars: 1 });
    node.showPods([{ name: "web", meshed: true }]);
    await add(node, "c1", "web", node.makeNetns());
    await until(async () => (await node.status()).spareSidecars === 1);
    const pid = await sidecarPid(node);
    process.kill(pid, "SIGKILL");
    const start = performance.now();
    const next = await until(async () => {
      const found = await sidecarPid(node);
      return found !== 0 && found !== pid ? found : 0;
    });
    assert.ok(performance.now() - start < 1_000);
    assert.notEqual(next, pid);
  });

  test("survives the agent and is adopted by the next, which replaces it when it dies", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web", meshed: true }]);
    await add(node, "c1", "web", node.makeNetns());
    const pid = await sidecarPid(node);
    await node.restart();
    assert.equal(await sidecarPid(node), pid);
    process.kill(pid, "SIGKILL");
    await until(async () => {
      const found = await sidecarPid(node);
      return found !== 0 && found !== pid;
    });
  });

  test("that died while no agent ran is started again by the next", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web", meshed: true }]);
    await add(node, "c1", "web", node.makeNetns());
    const pid = await sidecarPid(node);
    await node.stop();
    process.kill(pid, "SIGKILL");
    await node.restart();
    await until(async () => {
      const found = await sidecarPid(node);
      return found !== 0 && found !== pid;
    });
  });
});
