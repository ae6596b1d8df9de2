/** What a runtime and a pod see of an agent on the running kernel: links, addresses, capture, Services. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hairpinFaults } from "../../src/agent/check/hairpin-probes.ts";
import { until } from "../../src/agent/fake/calls.ts";
import type { Clock } from "../../src/base/clock.ts";
import { present } from "../../src/base/error.ts";
import { programsOn } from "../../src/kernel/bpf/attach.ts";
import { missingBpf } from "../../src/kernel/features.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../../src/kernel/netlink-socket.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { ServiceView } from "../../src/model/node-view.ts";
import { decodeRulesGeneration, getRulesGeneration } from "../../src/wire/netlink/nftables.ts";
import { AgentNode, added, ours, runIn, skipAgentNode } from "./agent-node.ts";
import { type LinkJson, linksJson } from "./kernel-scratch.ts";
import { ask } from "./pod-lookups.ts";

describe("an agent on the running kernel", { skip: skipAgentNode }, () => {
  let here: AgentNode;

  before(async () => {
    here = await AgentNode.start();
  });
  after(async () => here[Symbol.asyncDispose]());

  test("gives pods a network: they reach each other and the name server", async () => {
    here.node.showPods([{ name: "web" }, { name: "cart" }]);
    const [web, cart] = [here.netns(), here.netns()];
    const address = await added(here.cni("ADD", "c-web", "web", web));
    await added(here.cni("ADD", "c-cart", "cart", cart));
    assert.equal(await connects(cart, web, address), true);
    const answer = await ask(cart, "10-244-0-9.shop.pod.cluster.local");
    assert.equal(answer.responseCode, 3);
    assert.deepEqual((await here.cni("CHECK", "c-web", "web", web, address)).exitCode, 0);
    for (const id of ["c-web", "c-cart"]) assert.equal((await here.cni("DEL", id)).exitCode, 0);
    assert.deepEqual(ours(), { links: [], routes: [] });
  });

  const withPath = missingBpf() ?? false;
  test("puts new pods on the fast path long before it looks again", {
    skip: withPath,
  }, async () => {
    const names = Array.from({ length: 10 }, (_, i) => `fresh-${i}`);
    here.node.showPods(names.map((name) => ({ name })));
    await Promise.all(names.map((name) => here.cni("ADD", `c-${name}`, name, here.netns())));
    const start = performance.now();
    const links = () =>
      linksJson(here.path).filter(({ ifname }) => /^hd[0-9a-f]{10}$/.test(ifname));
    const isOn = ({ ifindex: linkIndex }: LinkJson) =>
      programsOn({ linkIndex, direction: "ingress" }).length > 0;
    await until(async () => links().length === 10 && links().every(isOn));
    assert.ok(performance.now() - start < 20_000, "a look comes after 30 s");
    await Promise.all(names.map((name) => here.cni("DEL", `c-${name}`)));
  });

  test("puts capture into a meshed pod's namespace when its sidecar is ready", async () => {
    here.node.showPods([{ name: "meshed", meshed: true }]);
    const netns = here.netns();
    await added(here.cni("ADD", "c-meshed", "meshed", netns));
    const rules = inNetns(netns, () =>
      execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" }),
    );
    assert.match(rules, /redirect to :15001/);
    await here.cni("DEL", "c-meshed");
  });

  test("attaches fifty pods at once, each with its own address, and a successor keeps them", async () => {
    const names = Array.from({ length: 50 }, (_, i) => `many-${i}`);
    here.node.showPods(names.map((name) => ({ name })));
    const namespaces = names.map(() => here.netns());
    const addresses = await Promise.all(
      names.map((name, i) => added(here.cni("ADD", `c-${name}`, name, namespaces[i] ?? ""))),
    );
    assert.equal(new Set(addresses).size, 50);
    await here.node.restart();
    here.node.showPods(names.map((name) => ({ name })));
    const [first = "", second = ""] = namespaces;
    assert.equal(await connects(second, first, addresses[0] ?? ""), true);
    await Promise.all(names.map((name) => here.cni("DEL", `c-${name}`)));
    assert.deepEqual(ours(), { links: [], routes: [] });
  });

  test("tells by packets whether a pod reaches itself through a Service", async () => {
    const [web, netns] = ["web", here.netns()];
    here.node.showPods([{ name: web }]);
    const address = await added(here.cni("ADD", "c-web", web, netns));
    const service: ServiceView = {
      namespace: "shop",
      name: web,
      clusterIp: "10.96.0.31",
      ports: [{ name: "", protocol: "TCP", port: 80, endpoints: [{ address, port: 8080 }] }],
    };
    here.node.showPods([{ name: web, address }], [service]);
    await until(async () => (await here.node.status()).inSync);
    const pod = { namespace: "shop", name: web, netns, addresses: [address] };
    const clock: Clock = { now: Date.now, sleep: (ms, signal) => sleep(ms, undefined, { signal }) };
    const faults = () => hairpinFaults([pod], [service], clock);
    await until(async () => (await faults()).length === 0); // refused, since nobody listens, by the pod itself
    const server = serve(netns, "");
    assert.deepEqual(await faults(), []);
    // Somebody else's rule, of which our own tell nothing.
    execFileSync("nft", [
      `add table ip theirs; add chain ip theirs f { type filter hook forward priority 10; }; add rule ip theirs f ip daddr ${address} drop`,
    ]);
    assert.deepEqual(await faults(), [
      "pod shop/web asked 10.96.0.31 port 80, Service shop/web, which leads to itself: no answer within 1.5 s",
    ]);
    execFileSync("nft", ["delete table ip theirs"]);
    assert.deepEqual(await faults(), []);
    server.close();
    await here.cni("DEL", "c-web");
  });

  test("clients keep their endpoints over restarts, which change no rule in the kernel", async () => {
    const names = ["caller", "one", "two", "three"];
    here.node.showPods(names.map((name) => ({ name })));
    const namespaces = names.map(() => here.netns());
    const [caller = "", ...servers] = namespaces;
    const addresses = await Promise.all(
      names.map((name, i) => added(here.cni("ADD", `c-${name}`, name, namespaces[i] ?? ""))),
    );
    const endpoints = addresses.slice(1).map((address) => ({ address, port: 8080 }));
    const service: ServiceView = {
      namespace: "shop",
      name: "sticky",
      clusterIp: "10.96.0.30",
      affinitySeconds: 600,
      ports: [{ name: "", protocol: "TCP", port: 80, endpoints }],
    };
    const pods = names.map((name, i) => ({ name, address: addresses[i] ?? "" }));
    here.node.showPods(pods, [service]);
    const inSync = () => until(async () => (await here.node.status()).inSync);
    const answering = servers.map((netns, i) => serve(netns, `server ${i}\n`));
    const askService = () => runIn(caller, "bash", ["-c", "cat < /dev/tcp/10.96.0.30/80"]);
    try {
      const kept = await askService();
      assert.match(kept, /^server \d/);
      // Others' transactions of tests before may have left the rules without their number: a successor gives it at once.
      await here.node.restart();
      await inSync();
      for (let restart = 0; restart < 5; restart++) {
        const before = generation();
        await here.node.restart();
        await inSync();
        assert.equal(generation(), before, "no transaction");
        // Somebody else's transaction: the table is read again.
        execFileSync("nft", ["add table inet theirs; delete table inet theirs"]);
        await here.node.restart();
        await inSync();
        const numbered = missingBpf() === undefined ? 1 : 0;
        assert.equal(generation(), before + 1 + numbered, "theirs, and the rules' new number");
        for (let i = 0; i < 5; i++) assert.equal(await askService(), kept);
      }
    } finally {
      for (const server of answering) server.close();
      await Promise.all(names.map((name) => here.cni("DEL", `c-${name}`)));
    }
  });
});

/** Whether a TCP connection from one pod's namespace reaches a server in another's. */
async function connects(from: string, to: string, address: string): Promise<boolean> {
  const server = serve(to, "hello\n");
  try {
    return (await runIn(from, "bash", ["-c", `cat < /dev/tcp/${address}/8080`])) === "hello\n";
  } finally {
    server.close();
  }
}

/** Listens at 8080 in a pod's namespace when it returns; says `words` to each that comes. */
function serve(netns: string, words: string): Server {
  const server = createServer((socket) => socket.end(words));
  return inNetns(netns, () => server.listen(8080));
}

/** How many transactions the node's nftables have seen. */
function generation(): number {
  const socket = new NetlinkSocket(NETLINK_NETFILTER);
  try {
    return present(socket.get(getRulesGeneration(), decodeRulesGeneration), "generation");
  } finally {
    socket.close();
  }
}
