import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Step } from "../model/node-state.ts";
import { add, addressOf, del, nothingLeft, refuse, until } from "./fake/calls.ts";
import { readText, startFakeNode } from "./fake/node.ts";

describe("an address", () => {
  test("is not given again while it cools down, unless nothing else is free", async () => {
    await using node = await startFakeNode({ podCidr: "10.244.0.0/26" });
    node.showPods(Array.from({ length: 64 }, (_, i) => ({ name: `web-${i}` })));
    const first = await addressOf(add(node, "c0", "web-0", node.makeNetns()));
    await del(node, "c0");
    const second = await addressOf(add(node, "c1", "web-1", node.makeNetns()));
    assert.notEqual(first, second);
    for (let i = 2; i < 64; i++) await add(node, `c${i}`, `web-${i}`, node.makeNetns());
    assert.equal(await addressOf(add(node, "again", "web-0", node.makeNetns())), first);
    const none = await add(node, "one-too-many", "web-0", node.makeNetns());
    assert.equal(JSON.parse(none.stdout).code, 11);
  });

  test("that cools down is given when the server does not answer to a node that wants more", async () => {
    await using node = await startFakeNode();
    node.showPods(Array.from({ length: 65 }, (_, i) => ({ name: `web-${i}` })));
    for (let i = 0; i < 64; i++) await add(node, `c${i}`, `web-${i}`, node.makeNetns());
    await del(node, "c0");
    node.objects.silence("AddressBlock");
    await addressOf(add(node, "c64", "web-64", node.makeNetns()));
  });

  test("has one owner although another node takes blocks at the same time", async () => {
    await using node = await startFakeNode();
    const own = (await until(async () => (await node.status()).blocks[0])) ?? "";
    const key = `AddressBlock /${own.replace("/", "-")}`;
    assert.ok(node.objects.all.has(key));
  });
});

describe("a node's status", () => {
  test("does not say that nobody asks for encryption where the device is what is missing", async () => {
    await using node = await startFakeNode();
    node.showPods([]);
    await until(async () => (await node.status()).inSync);
    assert.match((await node.status()).wireguard, /does not ask for it/);
    node.showPods([], [], { kind: "wireguard", port: 51_871 });
    await until(() => node.verdicts.length > 1);
    assert.match((await node.status()).wireguard, /^wanted, and the device is gone/);
  });
});

describe("a restarted agent", () => {
  test("knows its attachments and leaves the kernel as it is", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }, { name: "cart" }]);
    const address = await addressOf(add(node, "c1", "web", node.makeNetns()));
    await until(() => node.kernel.steps.some(({ kind }) => kind === "fast-path-put"));
    await node.stop();
    const steps = node.kernel.steps.length;
    await node.restart();
    await until(async () => (await node.status()).inSync);
    const kinds = node.kernel.steps.slice(steps).map(({ kind }) => kind);
    assert.deepEqual(kinds, []);
    assert.notEqual(await addressOf(add(node, "c2", "cart", node.makeNetns())), address);
    const { attachments } = await node.status();
    assert.deepEqual(attachments.map((each) => each.pod).sort(), ["shop/cart", "shop/web"]);
  });

  test("releases pods whose namespace went while it was away", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    const netns = node.makeNetns();
    await add(node, "c1", "web", netns);
    await node.stop();
    node.kernel.removeNetns(netns);
    rmSync(netns);
    await node.restart();
    assert.deepEqual((await node.status()).attachments, []);
  });

  test("undoes an ADD that was never answered", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    await add(node, "c1", "web", node.makeNetns());
    await node.stop();
    const directory = join(node.options.stateDir, "attachments");
    const [file = ""] = readdirSync(directory);
    const record = await import("node:fs").then((fs) =>
      JSON.parse(fs.readFileSync(join(directory, file), "utf8")),
    );
    writeFileSync(join(directory, file), JSON.stringify({ ...record, phase: "adding" }));
    await node.restart();
    await nothingLeft(node);
    await until(async () => (await node.status()).inSync);
    assert.equal(node.kernel.observe().links.length, 0);
  });

  test("moves a damaged record aside and goes on", async () => {
    await using node = await startFakeNode();
    await node.stop();
    writeFileSync(join(node.options.stateDir, "attachments", "hd0000000000.json"), "{half");
    await node.restart();
    assert.ok(
      readdirSync(join(node.options.stateDir, "attachments")).includes("hd0000000000.json.damaged"),
    );
  });
});

test("a second agent in the same directory is refused", async () => {
  await using node = await startFakeNode();
  await assert.rejects(
    startFakeNode({ runDir: node.options.runDir }),
    (error: { code?: string }) => error.code === "agent.running",
  );
});

test("a view that the kernel refuses is rejected by version, and the next is tried", async () => {
  await using node = await startFakeNode();
  refuse(node, "nft");
  node.showPods([]);
  await until(() => node.verdicts.length > 0);
  node.kernel.failOn(undefined);
  node.showPods([]);
  await until(() => node.verdicts.length > 1);
  assert.match(node.verdicts[0] ?? "", /^1 rejected: .*refused by the test/);
  assert.equal(node.verdicts[1], "2 accepted");
});

test("a pod whose link cannot be made holds up no view and no other pod, and has it as soon as it can", async () => {
  await using node = await startFakeNode();
  node.showPods([{ name: "web" }, { name: "cart" }]);
  await addressOf(add(node, "c1", "web", node.makeNetns()));
  const [link = ""] = (await node.status()).attachments.map((each) => each.link);
  const links = () => node.kernel.observe().links.map(({ name }) => name);
  node.kernel.apply([{ kind: "link-delete", name: link }]);
  node.kernel.failOn((step) =>
    step.kind === "link-add" && step.link.name === link ? "refused by the test" : undefined,
  );
  await node.restart();
  await addressOf(add(node, "c2", "cart", node.makeNetns()));
  assert.deepEqual(node.verdicts, ["1 accepted", "1 accepted"]);
  assert.equal(links().length, 1);
  const faults = async () => (await node.status()).attachments.map(({ fault }) => fault);
  assert.deepEqual(await faults(), ["refused by the test", undefined]);
  const metrics = await readText(join(node.options.runDir, "agent.sock"), "/metrics");
  assert.match(metrics, /^heddle_agent_broken_links 1$/m);
  assert.match(metrics, /^heddle_agent_attachments 2$/m);
  node.kernel.failOn(undefined);
  await node.restart();
  await until(() => links().includes(link));
  assert.deepEqual(await faults(), [undefined, undefined]);
});

test("an encrypted overlay that cannot be made holds up no pod of the node, and is told", async () => {
  await using node = await startFakeNode();
  node.kernel.failOn((step) =>
    step.kind === "link-add" && step.link.kind === "wireguard" ? "refused by the test" : undefined,
  );
  node.showPods([{ name: "web" }], [], { kind: "wireguard", port: 51871 });
  await addressOf(add(node, "c1", "web", node.makeNetns()));
  assert.deepEqual(node.verdicts, ["1 accepted"]);
  const links = () => node.kernel.observe().links.map(({ kind }) => kind);
  assert.deepEqual(links(), ["veth"]);
  assert.equal((await node.status()).wireguard, "refused by the test");
  node.kernel.failOn(undefined);
  await node.restart();
  await until(() => links().includes("wireguard"));
});

test("an ADD is not refused when one more link breaks while another is found broken", async () => {
  await using node = await startFakeNode();
  node.showPods([{ name: "web" }, { name: "cart" }, { name: "new" }]);
  for (const name of ["web", "cart"]) {
    await addressOf(add(node, name, name, node.makeNetns()));
  }
  const [first = "", second = ""] = (await node.status()).attachments.map((each) => each.link);
  const goes = (name: string) => {
    node.kernel.failOn(undefined);
    node.kernel.apply([{ kind: "link-delete", name }]);
    node.kernel.failOn(fail);
  };
  let refusals = 0;
  const fail = (step: Step): string | undefined => {
    if (step.kind === "nft" && refusals === 0) goes(first);
    else if (step.kind !== "link-add" || ![first, second].includes(step.link.name))
      return undefined;
    if (++refusals === 3) goes(second);
    return "refused by the test";
  };
  node.kernel.failOn(fail);
  await addressOf(add(node, "new", "new", node.makeNetns()));
  assert.equal(node.kernel.observe().links.length, 1);
});
