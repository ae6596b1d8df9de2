import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { add, addressOf, children, del, nothingLeft, sidecarPid, until } from "../fake/calls.ts";
import { startFakeNode } from "../fake/node.ts";

describe("a sidecar", () => {
  test("that is killed is replaced in place by the spare that waits", async () => {
    await using node = await startFakeNode({ spareSidecars: 1 });
    node.showPods([{ name: "web", meshed: true }]);
    await add(node, "c1", "web", node.makeNetns());
    await until(async () => (await node.status()).spareSidecars === 1);
    const pid = await sidecarPid(node);
    const before = readdirSync("/proc");
    process.kill(pid, "SIGKILL");
    const next = await until(async () => {
      const found = await sidecarPid(node);
      return found !== 0 && found !== pid ? found : 0;
    });
    assert.ok(before.includes(String(next)), "it was up already");
  });

  test("that neither answers nor dies is replaced, also one that was adopted", async () => {
    await using node = await startFakeNode({ sidecarPatienceMs: 3_000 });
    node.showPods([{ name: "web", meshed: true }]);
    await add(node, "c1", "web", node.makeNetns());
    for (const isAdopted of [false, true]) {
      if (isAdopted) await node.restart();
      const pid = await sidecarPid(node);
      process.kill(pid, "SIGSTOP");
      await until(async () => ![0, pid].includes(await sidecarPid(node)));
      assert.equal(existsSync(`/proc/${pid}`), false);
    }
  });

  test("that is slow to answer, or at whose path nobody listens, is left alone", async () => {
    await using node = await startFakeNode({ sidecarPatienceMs: 4_000 });
    node.showPods([{ name: "slow", meshed: true }]);
    await add(node, "c1", "slow", node.makeNetns());
    const pid = await sidecarPid(node);
    const socket = join(node.options.runDir, "pods/c1/admin.sock");
    const count = `${socket}.asked`;
    const asked = () => (existsSync(count) ? Number(readFileSync(count, "utf8")) : 0);
    await until(() => asked() > 2); // each of which it let wait
    assert.equal(await sidecarPid(node), pid);
    rmSync(socket);
    await sleep(4_200); // more than the patience: that nothing happens is no state to wait for
    assert.equal(await sidecarPid(node), pid);
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

  test("whose configuration cannot be passed on at adoption is supervised, and gets it when it can be", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web", meshed: true }]);
    await add(node, "c1", "web", node.makeNetns());
    const pid = await sidecarPid(node);
    const socket = join(node.options.runDir, "pods/c1/xds.sock");
    await node.stop();
    rmSync(socket);
    mkdirSync(socket); // in the way of the next agent's
    await node.restart();
    assert.equal(await sidecarPid(node), pid);
    process.kill(pid, "SIGKILL");
    await until(async () => (await node.status()).attachments[0]?.sidecar?.kind === "down");
    rmdirSync(socket);
    await until(async () => ![0, pid].includes(await sidecarPid(node)));
    assert.ok(existsSync(socket));
  });

  test("that took over and dies is replaced while the one before it finishes its connections", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "busy", meshed: true }]);
    await add(node, "c1", "busy", node.makeNetns());
    const first = await sidecarPid(node);
    await node.upgrade();
    const successor = await sidecarPid(node);
    assert.notEqual(successor, first);
    process.kill(successor, "SIGKILL");
    await until(async () => ![0, successor].includes(await sidecarPid(node)));
    assert.ok(children().includes(first), "it still has connections");
    assert.notEqual(await sidecarPid(node), first);
    await del(node, "c1");
    await nothingLeft(node);
    await until(() => !children().includes(first));
  });

  test("that is started again when its first interface is gone has the address of the one that is left", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web", meshed: true }]);
    const netns = node.makeNetns();
    const addresses = [];
    for (const name of ["eth0", "net1"]) {
      addresses.push(await addressOf(add(node, "c1", "web", netns, undefined, name)));
    }
    const told = async () =>
      JSON.parse(await ask(join(node.options.runDir, "pods/c1/admin.sock"), "/proxy")).address;
    const [first, second] = addresses.map((each) => each.replace(/\/.*/, ""));
    assert.equal(await told(), first);
    await del(node, "c1");
    const pid = await sidecarPid(node);
    process.kill(pid, "SIGKILL");
    await until(async () => ![0, pid].includes(await sidecarPid(node)));
    assert.equal(await told(), second);
  });

  test("that is killed while another takes over from it leaves one process, and not two", async () => {
    const others = children(); // of tests before, which end as they like
    await using node = await startFakeNode({ spareSidecars: 1 });
    node.showPods([{ name: "web", meshed: true }]);
    await add(node, "c1", "web", node.makeNetns());
    await until(async () => (await node.status()).spareSidecars === 1);
    const pid = await sidecarPid(node);
    const [spare = 0] = children().filter((each) => each !== pid && !others.includes(each));
    process.kill(spare, "SIGSTOP"); // it will be ready late
    const upgrade = node.upgrade().catch(() => undefined);
    await until(async () => (await node.status()).spareSidecars === 0);
    process.kill(pid, "SIGKILL");
    await until(async () => ![0, pid, spare].includes(await sidecarPid(node)));
    if (children().includes(spare)) process.kill(spare, "SIGCONT");
    await upgrade;
    await del(node, "c1");
    await nothingLeft(node);
    await until(async () => children().length === (await node.status()).spareSidecars);
  });
});

async function ask(socketPath: string, path: string): Promise<string> {
  const sent = get({ socketPath, path, agent: false });
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return (await response.toArray()).join("");
}
