/** What an agent does about pods that are gone without a word, or not as they should be. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { createNetns, deleteNetns, inNetns } from "../../src/kernel/netns.ts";
import { AgentNode, added, ours, skipAgentNode } from "./agent-node.ts";

describe("an agent whose pods are not as they were", { skip: skipAgentNode }, () => {
  let here: AgentNode;

  before(async () => {
    here = await AgentNode.start();
  });
  after(async () => here[Symbol.asyncDispose]());

  test("releases what a deleted namespace had when it comes back", async () => {
    here.node.showPods([{ name: "gone" }]);
    const netns = here.netns();
    await added(here.cni("ADD", "c-gone", "gone", netns));
    await here.node.stop();
    deleteNetns(netns);
    await linkGone();
    await here.node.restart();
    assert.deepEqual((await here.node.status()).attachments, []);
  });

  for (const [what, isTaken] of [
    ["has no path any more", false],
    ["is not at its path, but another's is", true],
  ] as const) {
    test(`adds pods although a dead one's namespace lives on and ${what}`, async () => {
      here.node.showPods([{ name: "gone" }, { name: "new" }]);
      const netns = here.netns();
      await added(here.cni("ADD", "c-gone", "gone", netns));
      const alive = inNetns(netns, () => spawn("sleep", ["600"]));
      try {
        await here.node.stop();
        deleteNetns(netns);
        if (isTaken) createNetns(netns);
        await here.node.restart();
        await added(here.cni("ADD", "c-new", "new", here.netns()));
        assert.equal(ours().links.length, 2);
        if (isTaken) assert.deepEqual(inNetns(netns, linkNames), ["lo"]);
      } finally {
        alive.kill();
      }
      for (const id of ["c-gone", "c-new"]) assert.equal((await here.cni("DEL", id)).exitCode, 0);
      assert.deepEqual(ours(), { links: [], routes: [] });
    });
  }

  test("refuses an ADD whose interface is there already and leaves that one alone", async () => {
    here.node.showPods([{ name: "taken" }]);
    const netns = here.netns();
    inNetns(netns, () => execFileSync("ip", ["link", "add", "eth0", "type", "veth", "peer", "x"]));
    const reply = await here.cni("ADD", "c-taken", "taken", netns);
    assert.equal(reply.exitCode, 1);
    assert.match(JSON.parse(reply.stdout).msg, /eth0/);
    inNetns(netns, () => execFileSync("ip", ["link", "show", "eth0"]));
    assert.deepEqual((await here.node.status()).attachments, []);
    assert.deepEqual(ours(), { links: [], routes: [] });
  });

  test("goes on when a pod puts something else in its interface's place", async () => {
    here.node.showPods([{ name: "strange" }, { name: "new" }]);
    const netns = here.netns();
    const address = await added(here.cni("ADD", "c-strange", "strange", netns));
    inNetns(netns, () => {
      execFileSync("ip", ["link", "delete", "eth0"]);
      execFileSync("ip", ["link", "add", "eth0", "type", "veth", "peer", "x"]);
    });
    await here.node.restart();
    await added(here.cni("ADD", "c-new", "new", here.netns()));
    assert.deepEqual((await here.node.status()).inSync, true);
    const reply = await here.cni("CHECK", "c-strange", "strange", netns, address);
    assert.match(JSON.parse(reply.stdout).msg, /link hd\w+ is absent on the node/);
    for (const id of ["c-strange", "c-new"]) assert.equal((await here.cni("DEL", id)).exitCode, 0);
    assert.deepEqual(ours(), { links: [], routes: [] });
  });
});

function linkNames(): readonly string[] {
  const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n");
  return lines.flatMap((line) => /^ *(\S+):/.exec(line)?.[1] ?? []);
}

/** The kernel takes a namespace's links away after the namespace. */
async function linkGone(): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (ours().links.length > 0 && performance.now() < deadline)
    await new Promise((resolve) => setImmediate(resolve));
}
