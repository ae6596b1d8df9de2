import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compilePodCapture } from "../../core/dataplane/pod-capture.ts";
import { add, addressOf, del, nothingLeft, podOf, refuse, until } from "../fake/calls.ts";
import { type FakeNode, startFakeNode } from "../fake/node.ts";

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

  test("gives the address that the runtime asks for, or says why not", async () => {
    await using node = await startFakeNode();
    node.showPods([{ name: "web" }]);
    const wish = (address: string) => ({
      cniVersion: "1.1.0",
      name: "pods",
      runtimeConfig: { ips: [address], mac: "02:00:00:00:00:07" },
    });
    const reply = await add(node, "c1", "web", node.makeNetns(), wish("10.244.0.77/24"));
    const result = JSON.parse(reply.stdout);
    assert.equal(result.ips[0].address, "10.244.0.77/32");
    assert.equal(result.interfaces[1].mac, "02:00:00:00:00:07");
    const refusals: readonly (readonly [string, RegExp])[] = [
      ["10.244.0.77", /another pod of node node-1 has it/],
      ["10.9.9.9", /want one of an address pool: default \(10\.244\.0\.0\/24\)/],
    ];
    for (const [address, why] of refusals) {
      const refused = await add(node, "c2", "web", node.makeNetns(), wish(address));
      assert.match(JSON.parse(refused.stdout).msg, why);
    }
    await del(node, "c1");
    const again = await add(node, "c1", "web", node.makeNetns(), wish("10.244.0.77"));
    assert.equal(again.exitCode, 0, "an address that one asks for need not cool down");
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
    const file = await add(node, "c1", "web", "/etc/passwd");
    assert.equal(JSON.parse(file.stdout).code, 8);
    assert.match(file.stdout, /it is no network namespace/);
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

  test("captures what its annotations leave, and CHECK wants no more when they change", async () => {
    await using node = await startFakeNode({ spareSidecars: 1 });
    const capture = { exceptOutboundPorts: [3306] };
    node.showPods([{ name: "web", meshed: true, capture }]);
    const netns = node.makeNetns();
    const prevResult = JSON.parse((await add(node, "c1", "web", netns)).stdout);
    assert.deepEqual(node.kernel.rulesetsIn.get(netns), compilePodCapture(capture));
    node.showPods([{ name: "web", meshed: true }]);
    const checked = await node.cni(
      { COMMAND: "CHECK", CONTAINERID: "c1", NETNS: netns, IFNAME: "eth0" },
      { cniVersion: "1.1.0", name: "pods", prevResult },
    );
    assert.equal(checked.exitCode, 0, checked.stdout);
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
