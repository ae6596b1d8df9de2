import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { add, addressOf, del, linkOf, nothingLeft, sidecarPid, until } from "../fake/calls.ts";
import { type FakeNode, startFakeNode } from "../fake/node.ts";

describe("a container that ended without a DEL", () => {
  test("and is back while another dead one is released keeps what its new life was given", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "meshed", meshed: true }, { name: "web" }]);
    const [first, second] = [node.makeNetns(), node.makeNetns()];
    await addressOf(add(node, "c1", "meshed", first));
    await addressOf(add(node, "c2", "web", second));
    const slow = await sidecarPid(node);
    process.kill(slow, "SIGSTOP"); // it ends late, when it is killed
    die(node, first);
    die(node, second);
    lookForDeadPods(node);
    await until(() => node.lines.some(({ event }) => event.includes("gone without a DEL")));

    const address = await addressOf(add(node, "c2", "web", node.makeNetns()));
    await until(async () => (await node.status()).attachments.length === 1);
    await node.restart();
    await until(async () => (await node.status()).inSync);
    const { attachments, addressesInUse } = await node.status();
    assert.deepEqual(
      attachments.map((each) => `${each.address}/32`),
      [address],
    );
    assert.equal(addressesInUse, 1);
    assert.equal(node.kernel.observe().links.length, 1);
  });

  test("has no ADD refused, whenever the kernel takes its link away", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "one" }, { name: "two" }, { name: "new" }]);
    const [first, second] = [node.makeNetns(), node.makeNetns()];
    await addressOf(add(node, "c1", "one", first));
    await addressOf(add(node, "c2", "two", second));
    rmSync(first);
    rmSync(second);
    // One link goes as the ADD's plan is refused; the other while the agent looks which links cannot be made, if it
    // does.
    const going: readonly (string | undefined)[] = [first, undefined, second];
    let event = 0;
    node.kernel.failOn((step) => {
      if (event > 0 && step.kind !== "link-add") return undefined;
      const netns = going[event++];
      if (netns !== undefined) node.kernel.removeNetns(netns);
      return event === 1 ? "refused by the test" : undefined;
    });
    await addressOf(add(node, "c3", "new", node.makeNetns()));
  });

  test("is known for dead when a later namespace has its path and its inode number", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "meshed", meshed: true }]);
    const netns = node.makeNetns();
    await addressOf(add(node, "c1", "meshed", netns));
    const pid = await sidecarPid(node);
    takeItsPlace(node, netns);
    process.kill(pid, "SIGKILL");
    await until(async () => (await node.status()).attachments[0]?.sidecar?.kind === "down");
    await addressOf(add(node, "c1", "meshed", netns)); // no sidecar was started there meanwhile, and c1 is new
    const [attachment] = (await node.status()).attachments;
    assert.equal(attachment?.sidecar?.restarts, 0);
    const capture = node.kernel.rulesetsIn.get(netns);
    assert.ok(capture !== undefined);

    takeItsPlace(node, netns);
    node.kernel.applyRulesetIn(netns, capture);
    assert.equal((await del(node, "c1")).exitCode, 0);
    assert.ok(node.kernel.rulesetsIn.has(netns), "the later one's capture stays");
    await nothingLeft(node);
  });

  test("has a record of before there were cookies, which is understood", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    const netns = node.makeNetns();
    const address = await addressOf(add(node, "c1", "web", netns));
    const path = join(node.options.stateDir, "attachments", `${await linkOf(node)}.json`);
    await node.stop();
    const { netnsCookie, ...before } = JSON.parse(readFileSync(path, "utf8"));
    assert.match(netnsCookie, /^\d+$/);
    writeFileSync(path, JSON.stringify(before));
    await node.restart();
    const { attachments } = await node.status();
    assert.deepEqual(
      attachments.map((each) => `${each.address}/32`),
      [address],
    );
  });

  test("and whose record cannot be deleted takes neither the agent nor other pods along", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "meshed", meshed: true }, { name: "web" }]);
    const netns = node.makeNetns();
    await addressOf(add(node, "c1", "web", netns));
    const record = join(node.options.stateDir, "attachments", `${await linkOf(node)}.json`);
    rmSync(record);
    mkdirSync(record); // cannot be deleted as a file
    die(node, netns);
    lookForDeadPods(node);
    await until(() => node.lines.some(({ event }) => event === "pod is not released yet"));
    rmdirSync(record);
    await addressOf(add(node, "c2", "meshed", node.makeNetns()));
    for (const id of ["c1", "c2"]) assert.equal((await del(node, id)).exitCode, 0);
    await nothingLeft(node);
  });
});

function die(node: FakeNode, netns: string): void {
  node.kernel.removeNetns(netns);
  rmSync(netns);
}

/** What is at the path is another namespace, and has the inode number of the one before. */
function takeItsPlace(node: FakeNode, netns: string): void {
  node.kernel.removeNetns(netns);
  node.kernel.addNetns(netns);
}

/** A view that the kernel refuses once has the agent look. */
function lookForDeadPods(node: FakeNode): void {
  let refusals = 2; // the second is that of the plan made after asking the kernel
  node.kernel.failOn((step) =>
    step.kind === "nft" && refusals-- > 0 ? "refused by the test" : undefined,
  );
  const endpoints = [{ address: "10.244.0.9", port: 80, node: "node-2" }];
  const ports = [{ name: "http", protocol: "TCP" as const, port: 80, endpoints }];
  const service = { namespace: "shop", name: "more", clusterIp: "10.96.0.9", ports };
  node.showPods([{ name: "meshed", meshed: true }, { name: "web" }], [service]);
}
