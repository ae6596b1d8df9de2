import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  add,
  addressOf,
  del,
  linkOf,
  nothingLeft,
  podOf,
  sidecarPid,
  until,
} from "../fake/calls.ts";
import { startFakeNode } from "../fake/node.ts";

describe("DEL", () => {
  test("three times succeeds and leaves nothing", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web", meshed: true }]);
    const before = node.kernel.observe().links;
    await add(node, "c1", "web", node.makeNetns());
    const pid = await sidecarPid(node);
    const [attachment] = (await node.status()).attachments;
    for (let i = 0; i < 3; i++) assert.equal((await del(node, "c1")).exitCode, 0);
    await nothingLeft(node);
    assert.deepEqual(node.kernel.observe().links, before);
    assert.deepEqual(node.kernel.forgotten, [attachment?.address]);
    assert.throws(() => process.kill(pid, 0));
    await until(() => podOf(node, "web").status?.podIP === undefined);
  });

  test("of a pod's first interface gives its object the address of the next", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    const netns = node.makeNetns();
    await addressOf(add(node, "c1", "web", netns));
    const second = await addressOf(add(node, "c1", "web", netns, undefined, "net1"));
    await del(node, "c1");
    assert.equal(podOf(node, "web").status?.podIP, second.replace("/32", ""));
  });

  test("of a meshed pod's first interface keeps its sidecar and capture for the next, and of that one ends both", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web", meshed: true }]);
    const netns = node.makeNetns();
    await addressOf(add(node, "c1", "web", netns));
    await addressOf(add(node, "c1", "web", netns, undefined, "net1"));
    const pid = await sidecarPid(node);
    await del(node, "c1");
    assert.equal(await sidecarPid(node), pid);
    assert.ok(node.kernel.rulesetsIn.has(netns));
    await node.restart();
    await until(async () => (await sidecarPid(node)) === pid);
    await node.cni({ COMMAND: "DEL", CONTAINERID: "c1", IFNAME: "net1" });
    await until(() => isGone(pid));
    assert.equal(node.kernel.rulesetsIn.has(netns), false);
    await nothingLeft(node);
  });

  test("takes capture out of a namespace that lives on, and leaves a later one at its path alone", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web", meshed: true }]);
    const netns = node.makeNetns();
    await add(node, "c1", "web", netns);
    const capture = node.kernel.rulesetsIn.get(netns);
    assert.ok(capture !== undefined);
    await del(node, "c1");
    assert.equal(node.kernel.rulesetsIn.has(netns), false);

    await add(node, "c2", "web", netns);
    renameSync(netns, `${netns}-keeps-the-inode`);
    writeFileSync(netns, "");
    node.kernel.applyRulesetIn(netns, capture);
    await del(node, "c2");
    assert.ok(node.kernel.rulesetsIn.has(netns));
  });

  test("leaves no moment in which the pod has its link and no capture, also where the link stays", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web", meshed: true }]);
    const netns = node.makeNetns();
    await add(node, "c1", "web", netns);
    const captured: boolean[] = [];
    node.kernel.failOn(({ kind }) => {
      if (kind !== "link-delete") return undefined;
      captured.push(node.kernel.rulesetsIn.has(netns));
      return "refused by the test";
    });
    assert.equal((await del(node, "c1")).exitCode, 0);
    assert.ok(captured.length > 0 && captured.every(Boolean));
    assert.equal(node.kernel.observe().links.length, 1);
    assert.ok(node.kernel.rulesetsIn.has(netns));
  });

  test("takes a pod away whose record cannot be written, as on a full disk", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    await add(node, "c1", "web", node.makeNetns());
    const { stateDir } = node.options;
    const record = join(stateDir, "attachments", `${await linkOf(node)}.json`);
    const blocked = [record, join(stateDir, "cooling.json")].map((path) => `${path}.tmp`);
    for (const path of blocked) mkdirSync(path);
    assert.equal((await del(node, "c1")).exitCode, 0);
    for (const path of blocked) rmdirSync(path);
    await nothingLeft(node);
  });

  test("of a container that nobody knows, with no namespace, succeeds", async () => {
    await using node = await startFakeNode();
    assert.equal((await del(node, "unknown")).exitCode, 0);
  });

  test("takes the link out of admission before it removes it", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    await add(node, "c1", "web", node.makeNetns());
    const taken = node.kernel.steps.length;
    await del(node, "c1");
    const kinds = node.kernel.steps.slice(taken).map((step) => step.kind);
    assert.ok(kinds.indexOf("nft") >= 0 && kinds.indexOf("nft") < kinds.indexOf("link-delete"));
  });
});

/** The agent's successor does not wait for a process that its predecessor started; this one reaps it a moment later. */
function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
