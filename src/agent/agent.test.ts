import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pod } from "../api/k8s/core.ts";
import { type FakeNode, startFakeNode } from "./fake/node.ts";

describe("ADD", () => {
  test("gives a pod its address, policy before link, and tells the pod's object", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    const netns = node.makeNetns();
    const reply = await add(node, "c1", "web", netns);
    assert.equal(reply.exitCode, 0, reply.stdout);
    const result = JSON.parse(reply.stdout);
    const address = result.ips[0].address.replace("/32", "");
    assert.equal(result.interfaces[1].sandbox, netns);
    assert.equal(result.interfaces[1].name, "eth0");

    const link = result.interfaces[0].name;
    const made = node.kernel.steps.findIndex(
      (step) => step.kind === "link-add" && step.link.name === link,
    );
    const admitted = node.kernel.steps.findIndex(
      (step) => step.kind === "nft" && step.text.includes(link),
    );
    assert.ok(admitted >= 0 && admitted < made, "admission precedes the link");
    await until(() => podOf(node, "web").status?.podIP === address);
  });

  test("of a second interface leaves the pod's object the address of the first", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    const netns = node.makeNetns();
    const first = await addressOf(add(node, "c1", "web", netns));
    const second = await addressOf(add(node, "c1", "web", netns, undefined, "net1"));
    assert.notEqual(first, second);
    assert.equal(podOf(node, "web").status?.podIP, first.replace("/32", ""));
  });

  test("in any version has that version's shape", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    for (const cniVersion of ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
      const config = { cniVersion, name: "pods" };
      const reply = await add(node, `c-${cniVersion}`, "web", node.makeNetns(), config);
      assert.equal(JSON.parse(reply.stdout).cniVersion, cniVersion);
    }
  });

  test("twice fails the second time and changes nothing", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    const netns = node.makeNetns();
    await add(node, "c1", "web", netns);
    const before = await node.status();
    const steps = node.kernel.steps.length;
    const reply = await add(node, "c1", "web", netns);
    assert.equal(reply.exitCode, 1);
    assert.equal(JSON.parse(reply.stdout).code, 100);
    assert.deepEqual((await node.status()).attachments, before.attachments);
    assert.equal(node.kernel.steps.length, steps);
  });

  test("a hundred times at once gives a hundred different addresses", async () => {
    await using node = await startFakeNode();
    const names = Array.from({ length: 100 }, (_, i) => `web-${i}`);
    node.showPods(names.map((name) => ({ name })));
    const replies = await Promise.all(
      names.map((name) => add(node, `c-${name}`, name, node.makeNetns())),
    );
    const addresses = new Set(replies.map((reply) => JSON.parse(reply.stdout).ips[0].address));
    assert.equal(addresses.size, 100);
    assert.equal((await node.status()).blocks.length, 2);
  });

  test("waits for a pod that the view does not show yet", async () => {
    await using node = await startFakeNode();
    node.showPods([]);
    const adding = add(node, "c1", "late", node.makeNetns());
    await until(() => node.verdicts.includes("1 accepted"));
    node.showPods([{ name: "late" }]);
    assert.equal((await adding).exitCode, 0);
  });

  test("without Kubernetes' arguments makes a pod for the container, and DEL deletes it", async () => {
    await using node = await startFakeNode();
    node.showPods([]);
    const adding = node.cni({
      COMMAND: "ADD",
      CONTAINERID: "abc123",
      NETNS: node.makeNetns(),
      IFNAME: "eth0",
    });
    const key = "Pod default/container-abc123";
    await until(() => node.objects.all.has(key));
    const uid = node.objects.all.get(key)?.metadata.uid ?? "";
    node.showPods([{ name: "container-abc123", namespace: "default", uid }]);
    assert.equal((await adding).exitCode, 0);
    await del(node, "abc123");
    await until(() => !node.objects.all.has(key));
  });

  test("of a namespace that does not exist is refused with code 8", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    const gone = await add(node, "c1", "web", "/nowhere");
    assert.equal(JSON.parse(gone.stdout).code, 8);
    const own = await add(node, "c1", "web", "/proc/self/ns/net");
    assert.equal(JSON.parse(own.stdout).code, 8);
  });

  const failures: readonly (readonly [string, (node: FakeNode) => void])[] = [
    ["the nft transaction is refused", (node) => refuse(node, "nft")],
    ["the link is refused", (node) => refuse(node, "link-add")],
    ["the route is refused", (node) => refuse(node, "route-replace")],
  ];
  for (const [what, fail] of failures) {
    test(`leaves nothing when ${what}`, async () => {
      await using node = await startFakeNode();
      node.showPods([{ name: "web" }]);
      await until(() => node.verdicts.length > 0);
      const before = node.kernel.observe();
      fail(node);
      const reply = await add(node, "c1", "web", node.makeNetns());
      node.kernel.failOn(undefined);
      assert.equal(reply.exitCode, 1);
      await nothingLeft(node);
      assert.deepEqual(node.kernel.observe(), before);
      // The pod can be added as if nothing had been.
      assert.equal((await add(node, "c1", "web", node.makeNetns())).exitCode, 0);
    });
  }
});

describe("ADD of a meshed pod", () => {
  test("returns when the sidecar is ready and captures afterwards", async () => {
    await using node = await startFakeNode({ spareSidecars: 1 });
    node.showPods([{ name: "web", meshed: true }]);
    const netns = node.makeNetns();
    const reply = await add(node, "c1", "web", netns);
    assert.equal(reply.exitCode, 0, reply.stdout);
    assert.ok(node.kernel.rulesetsIn.has(netns));
    const [attachment] = (await node.status()).attachments;
    assert.equal(attachment?.sidecar?.kind, "ready");
  });

  for (const name of ["refuse", "die"]) {
    test(`leaves nothing when the sidecar ${name}s`, async () => {
      await using node = await startFakeNode();
      node.showPods([{ name, meshed: true }]);
      const netns = node.makeNetns();
      const reply = await add(node, "c1", name, netns);
      assert.equal(reply.exitCode, 1);
      assert.equal(node.kernel.rulesetsIn.has(netns), false);
      await nothingLeft(node);
      await until(() => podOf(node, name).status?.podIP === undefined);
    });
  }

  test("that a DEL overtakes is given up and leaves nothing", async () => {
    await using node = await startFakeNode();
    node.showPods([]);
    const adding = add(node, "c1", "never", node.makeNetns());
    await until(() => node.verdicts.length > 0);
    assert.equal((await del(node, "c1")).exitCode, 0);
    assert.equal((await adding).exitCode, 1);
    await nothingLeft(node);
  });
});

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

  test("has one owner although another node takes blocks at the same time", async () => {
    await using node = await startFakeNode();
    const own = (await until(async () => (await node.status()).blocks[0])) ?? "";
    const key = `AddressBlock /${own.replace("/", "-")}`;
    assert.ok(node.objects.all.has(key));
  });
});

describe("a restarted agent", () => {
  test("knows its attachments and leaves the kernel as it is", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }, { name: "cart" }]);
    const address = await addressOf(add(node, "c1", "web", node.makeNetns()));
    await node.stop();
    const steps = node.kernel.steps.length;
    await node.restart();
    await until(async () => (await node.status()).inSync);
    const links = node.kernel.steps.slice(steps).filter((step) => step.kind.startsWith("link"));
    assert.deepEqual(links, []);
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

function add(
  node: FakeNode,
  id: string,
  pod: string,
  netns: string,
  config?: object,
  ifName = "eth0",
) {
  const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod};K8S_POD_UID=uid-${pod}`;
  const variables = { COMMAND: "ADD", CONTAINERID: id, NETNS: netns, IFNAME: ifName, ARGS: args };
  return node.cni(variables, config);
}

function del(node: FakeNode, id: string) {
  return node.cni({ COMMAND: "DEL", CONTAINERID: id, IFNAME: "eth0", NETNS: "" });
}

async function addressOf(reply: ReturnType<typeof add>): Promise<string> {
  const { exitCode, stdout } = await reply;
  assert.equal(exitCode, 0, stdout);
  return JSON.parse(stdout).ips[0].address;
}

async function sidecarPid(node: FakeNode): Promise<number> {
  const [attachment] = (await node.status()).attachments;
  return attachment?.sidecar?.kind === "ready" ? attachment.sidecar.pid : 0;
}

/** No attachment, no record, no runtime file, no address in use. */
async function nothingLeft(node: FakeNode): Promise<void> {
  const { attachments, addressesInUse } = await node.status();
  assert.deepEqual(attachments, []);
  assert.equal(addressesInUse, 0);
  assert.deepEqual(readdirSync(join(node.options.stateDir, "attachments")), []);
  assert.deepEqual(readdirSync(join(node.options.runDir, "pods")), []);
}

function refuse(node: FakeNode, kind: string): void {
  node.kernel.failOn((step) => (step.kind === kind ? "refused by the test" : undefined));
}

function podOf(node: FakeNode, name: string): Pod {
  return node.objects.all.get(`Pod shop/${name}`) as Pod;
}

/** Waits for something truthy; the state is polled, so nothing depends on how long anything takes. */
async function until<T>(probe: () => T | Promise<T>): Promise<T> {
  for (let i = 0; i < 5_000; i++) {
    const found = await probe();
    if (found) return found;
    await sleep(2);
  }
  throw new Error(`never came: ${probe}`);
}
