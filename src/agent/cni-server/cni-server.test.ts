import assert from "node:assert/strict";
import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { add, nothingLeft, until } from "../fake/calls.ts";
import { startFakeNode } from "../fake/node.ts";

test("STATUS says what an ADD would wait for in vain", async () => {
  await using node = await startFakeNode();
  const call = () => node.cni({ COMMAND: "STATUS" });
  const before = JSON.parse((await call()).stdout);
  assert.equal(before.code, 50);
  assert.match(before.msg, /no view/);
  node.showPods([]);
  await until(async () => (await call()).exitCode === 0);
});

test("GC keeps what is listed, removes the rest of its network, and without a list does nothing", async () => {
  await using node = await startFakeNode();
  node.showPods([{ name: "a" }, { name: "b" }, { name: "c" }]);
  await add(node, "a", "a", node.makeNetns());
  await add(node, "b", "b", node.makeNetns());
  await add(node, "c", "c", node.makeNetns(), { cniVersion: "1.1.0", name: "other" });
  const gc = (fields: object) =>
    node.cni({ COMMAND: "GC" }, { cniVersion: "1.1.0", name: "pods", ...fields });
  const there = async () => (await node.status()).attachments.map((each) => each.containerId);
  assert.equal((await gc({})).exitCode, 0);
  assert.deepEqual(await there(), ["a", "b", "c"]);
  const valid = [{ containerID: "a", ifname: "eth0" }];
  assert.equal((await gc({ "cni.dev/valid-attachments": valid })).exitCode, 0);
  assert.deepEqual(await there(), ["a", "c"]);
});

test("GC releases all others where one cannot be, and names that one", async () => {
  await using node = await startFakeNode();
  const names = ["a", "b", "c"];
  node.showPods(names.map((name) => ({ name })));
  for (const name of names) await add(node, name, name, node.makeNetns());
  const { attachments } = await node.status();
  const link = attachments.find((each) => each.containerId === "a")?.link;
  const record = join(node.options.stateDir, "attachments", `${link}.json`);
  rmSync(record);
  mkdirSync(record); // cannot be deleted as a file
  const gc = () =>
    node.cni(
      { COMMAND: "GC" },
      { cniVersion: "1.1.0", name: "pods", "cni.dev/valid-attachments": [] },
    );
  const { code, msg } = JSON.parse((await gc()).stdout);
  assert.equal(code, 11);
  assert.match(msg, /1 of 3 are not released: eth0 of container a: /);
  const left = (await node.status()).attachments.map((each) => each.containerId);
  assert.deepEqual(left, ["a"]);
  rmdirSync(record);
  assert.equal((await gc()).exitCode, 0);
  await nothingLeft(node);
});

test("CHECK passes what ADD gave and names all that is missing", async () => {
  await using node = await startFakeNode();
  node.showPods([{ name: "web" }]);
  const netns = node.makeNetns();
  const prevResult = JSON.parse((await add(node, "c1", "web", netns)).stdout);
  const check = (fields: object) =>
    node.cni(
      { COMMAND: "CHECK", CONTAINERID: "c1", NETNS: netns, IFNAME: "eth0" },
      { cniVersion: "1.1.0", name: "pods", ...fields },
    );
  assert.equal((await check({ prevResult })).exitCode, 0);
  assert.equal(JSON.parse((await check({})).stdout).code, 7);
  node.kernel.apply([{ kind: "link-delete", name: prevResult.interfaces[0].name }]);
  const { code, msg } = JSON.parse((await check({ prevResult })).stdout);
  assert.equal(code, 101);
  assert.match(msg, /eth0 does not exist.*absent on the node.*route to/);
});

test("VERSION, and a person without CNI_COMMAND, are answered", async () => {
  await using node = await startFakeNode();
  const version = await node.cni({ COMMAND: "VERSION" }, { cniVersion: "1.0.0" });
  assert.equal(JSON.parse(version.stdout).cniVersion, "1.0.0");
  const about = await node.cni({});
  assert.equal(about.exitCode, 0);
  assert.match(about.stdout, /protocol versions supported/);
});

test("a request that is none gets an error that a runtime can read", async () => {
  await using node = await startFakeNode();
  const reply = await node.cni({ COMMAND: "ADD" }, { cniVersion: "0.4.0", name: "pods" });
  assert.deepEqual(JSON.parse(reply.stdout), {
    cniVersion: "0.4.0",
    code: 4,
    msg: "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing",
  });
});
