/**
 * Packets that pass beside netfilter, between real namespaces on two nodes: which ones do, and that nothing passes that the
 * rules would have refused.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { planNode } from "../../src/core/dataplane/plan-node.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { attachToLink, detachFromLink } from "../../src/kernel/bpf/attach.ts";
import { loadCompiled } from "../../src/kernel/bpf/object.ts";
import { missingBpf } from "../../src/kernel/features.ts";
import { AF_INET, libc } from "../../src/kernel/ffi.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { Step } from "../../src/model/node-state.ts";
import type { Attachment } from "../../src/model/node-view.ts";
import { connect, type Netns, nft, TestNetwork } from "./dataplane-node.ts";
import {
  at,
  closed,
  type DrivenNode,
  isolated,
  type PodName,
  port,
  twoNodes,
  worldWith,
} from "./fast-path-nodes.ts";
import { ended, endTraffic, opened, serveEcho, talk, tracked } from "./fast-path-traffic.ts";
import { linksJson, needsRoot } from "./kernel-scratch.ts";

const rounds = 200;

describe("the fast path", { skip: needsRoot || (missingBpf() ?? false) }, () => {
  let network: TestNetwork;
  let one: DrivenNode;
  let two: DrivenNode;
  let pods: Readonly<Record<PodName, Netns>>;

  before(async () => {
    network = new TestNetwork();
    ({ one, two, pods } = twoNodes(network));
    for (const pod of ["server", "neighbour"] as const) await serveEcho(pods[pod]);
  });
  after(async () => {
    endTraffic();
    for (const node of [one, two]) node.driver.close();
    await network[Symbol.asyncDispose]();
  });

  const show = (policy: string) => {
    for (const node of [one, two]) node.bringTo(worldWith(policy));
  };
  const forwarded = () => one.forwarded() + two.forwarded();

  for (const family of [0, 1] as const) {
    for (const to of ["server", "neighbour"] as const) {
      test(`takes an established connection to ${at[to][family]}, under its policy`, async () => {
        show(isolated);
        assert.equal(one.driver.missing.get("fastPath"), undefined);
        const connection = await opened(pods.client, at[to][family]);
        await talk(connection, 2);
        const before = forwarded();
        await talk(connection, rounds);
        assert.ok(forwarded() - before < 10, `netfilter saw ${forwarded() - before} packets`);
        await ended(connection);
      });
    }
  }

  test("forgets a connection that has ended, however far it went, as soon as any", async () => {
    show(isolated);
    const connection = await opened(pods.client, at.server[0]);
    const { localPort } = connection;
    await talk(connection, 40, 512 * 1024);
    await ended(connection);
    for (const node of [one, two]) {
      const [entry, ...more] = tracked(node.netns, localPort);
      assert.equal(more.length, 0);
      const secondsLeft = Number(/^tcp\s+6 (\d+) /.exec(entry ?? "")?.[1]);
      assert.ok(secondsLeft <= 120, `remembered as one that goes on: ${entry}`);
    }
  });

  test("does not end with a policy that refuses new connections", async () => {
    show(isolated);
    const connection = await opened(pods.client, at.server[0]);
    await talk(connection, 2);
    show(closed);
    await talk(connection, rounds);
    assert.equal(await connect(pods.client, at.server[0], port), "timeout");
    await ended(connection);
    show(isolated);
    assert.equal(await connect(pods.stranger, at.server[0], port), "timeout");
  });

  test("ends at once with a connection that is forgotten", async () => {
    show(isolated);
    const connection = await opened(pods.client, at.server[0]);
    await talk(connection, 2);
    show(closed);
    for (const node of [one, two]) node.driver.forgetConnections(new Set([at.client[0]]));
    const outcome = talk(connection, 1).then(
      () => "answered",
      () => "cut off",
    );
    assert.equal(await Promise.race([outcome, silence()]), "silence");
    connection.kill();
    show(isolated);
  });

  test("does not take what has an address to be translated", async () => {
    show(isolated);
    nft(
      one.netns,
      `table inet translate { chain prerouting {
         type nat hook prerouting priority -110; policy accept;
         ip daddr 10.96.7.7 tcp dport 80 dnat ip to ${at.server[0]}:${port}
       }
       }`,
    );
    const connection = await opened(pods.client, "10.96.7.7", 80);
    await talk(connection, 2);
    const before = one.forwarded();
    await talk(connection, rounds);
    assert.ok(one.forwarded() - before >= 2 * rounds, "both directions are translated on node one");
    await ended(connection);
  });

  test("refuses a forged segment of somebody else's connection", async () => {
    show(isolated);
    const connection = await opened(pods.client, at.server[0]);
    await talk(connection, 2);
    const [forged, own] = [0xbad0, 0x900d];
    using received = countingSegments(pods.server, forged, own);
    const send = (from: Netns, sequence: number) =>
      sendRaw(
        from,
        segment(at.client[0], at.server[0], connection.localPort, sequence),
        at.server[0],
      );
    for (let i = 0; i < 20; i++) send(pods.stranger, forged);
    send(pods.client, own);
    while (received.count(own) === 0) await setTimeout(10);
    assert.equal(received.count(forged), 0);
    await ended(connection);
  });

  test("is put right when its maps or programs are damaged", async () => {
    show(isolated);
    const world = worldWith(isolated);
    assert.equal(one.bringTo(world, true), 0);
    takeOff("client");
    assert.match(
      one.driver.fastPathStatus(),
      new RegExp(
        `^on, but ${one.linkOf("client")} takes the plain path: its program was taken away`,
      ),
    );
    assert.equal(one.bringTo(world, true), 1);
    assert.equal(one.driver.fastPathStatus(), "on");
    assert.equal(one.bringTo(world, true), 0);
  });

  test("that cannot be asked about leaves the plain path working", async () => {
    show(isolated);
    const world = worldWith(isolated);
    const wanted = one.wanted(world);
    const puts = planNode(wanted, { ...wanted, fastPath: [] });
    assert.equal(puts.length, 4);
    withDescriptorsLeft(1, () => one.driver.apply(puts));
    assert.match(one.driver.fastPathStatus(), /^on, but hd\S+ takes the plain path: /);
    const connection = await opened(pods.client, at.server[0]);
    await talk(connection, 2);
    await ended(connection);
    one.bringTo(world, true);
    assert.equal(one.driver.fastPathStatus(), "on");
  });

  test("sends nothing to a pod's old link while its new one has no program yet", {
    timeout: 300_000,
  }, async () => {
    show(isolated);
    const world = worldWith(isolated);
    const all = one.attachments;
    const [client] = all.filter(({ name }) => name === "client");
    assert.ok(client !== undefined);
    const fresh = Array.from({ length: 8 }, (_, at) => `hd0000000c0${at}`);
    one.attachments = [
      ...fresh.map((hostLink, at) => ({
        ...client,
        ...{ name: hostLink, uid: hostLink, containerId: hostLink, hostLink },
        ...{ netns: network.netns().path, addresses: [`10.244.0.${at + 30}`] },
      })),
      ...all,
    ];
    const neighbour = one.linkOf("neighbour");
    const state = one.wanted(world);
    // The eight take all that one plan puts on.
    const isLast = (step: Step) =>
      step.kind === "fast-path-put" && step.fastPath.link === neighbour;
    const plan = planNode(state, one.driver.observe(state.ruleset));
    execFileSync("ip", ["-n", one.netns.name, "link", "delete", neighbour]);
    const again = planNode(state, {
      ...state,
      links: state.links.filter(({ name }) => name !== neighbour),
      routes: state.routes.filter(({ link }) => link !== neighbour),
      fastPath: (state.fastPath ?? []).filter(({ link }) => link !== neighbour),
    });
    one.driver.apply([...plan, ...again.filter((step) => !isLast(step)), ...again.filter(isLast)]);
    const connection = await opened(pods.client, at.neighbour[0]);
    await talk(connection, 2);
    await ended(connection);
    one.attachments = all;
    one.bringTo(world, true);
  });

  test("passes by no limit of what is sent to a pod", async () => {
    show(isolated);
    const all = one.attachments;
    const ingress = { bitsPerSecond: 1e9, burstBytes: 1e6 };
    one.attachments = all.map((each) =>
      each.name === "neighbour" ? { ...each, bandwidth: { ingress } } : each,
    );
    one.bringTo(worldWith(isolated));
    const connection = await opened(pods.client, at.neighbour[0]);
    await talk(connection, 2);
    const before = one.forwarded();
    await talk(connection, rounds);
    const seen = one.forwarded() - before;
    assert.ok(seen >= rounds && seen < 2 * rounds, `netfilter saw ${seen}: one direction`);
    await ended(connection);
    one.attachments = all;
    const words = ["qdisc", "delete", "dev", one.linkOf("neighbour"), "root"];
    execFileSync("tc", ["-n", one.netns.name, ...words]);
    one.bringTo(worldWith(isolated), true);
  });

  test("passes by no queue and no filter that somebody else put on a pod's link", async () => {
    show(isolated);
    const link = one.linkOf("client");
    execFileSync("tc", ["-n", one.netns.name, "qdisc", "add", "dev", link, "clsact"]);
    one.bringTo(worldWith(isolated), true);
    const connection = await opened(pods.client, at.server[0]);
    await talk(connection, 2);
    const before = one.forwarded();
    await talk(connection, rounds);
    assert.ok(one.forwarded() - before >= 2 * rounds);
    await ended(connection);
    execFileSync("tc", ["-n", one.netns.name, "qdisc", "delete", "dev", link, "clsact"]);
    one.bringTo(worldWith(isolated), true);
    assert.equal(one.bringTo(worldWith(isolated), true), 0);
  });

  test("passes by no eBPF program that somebody else attached to the node's end of a pod's link", async () => {
    show(isolated);
    const world = worldWith(isolated);
    const hook = { linkIndex: indexOf("client"), direction: "egress" } as const;
    using others = loadCompiled("fast-path"); // any program will do; this one lets all pass
    const program = others.program("hd_from_node");
    inNetns(one.netns.path, () => attachToLink(hook, "hd_from_node", program));
    one.bringTo(world, true);
    const connection = await opened(pods.client, at.server[0]);
    await talk(connection, 2);
    const before = one.forwarded();
    await talk(connection, rounds);
    assert.ok(one.forwarded() - before >= 2 * rounds);
    await ended(connection);
    inNetns(one.netns.path, () => detachFromLink(hook, "hd_from_node"));
    one.bringTo(world, true);
    assert.equal(one.bringTo(world, true), 0);
  });

  test("comes to a pod behind more links that others hold than one look puts it on", () => {
    show(isolated);
    const world = worldWith(isolated);
    const all = one.attachments;
    const held = Array.from({ length: 8 }, (_, at) => `hd0000000b0${at}`);
    const [client] = all.filter(({ name }) => name === "client");
    assert.ok(client !== undefined);
    one.attachments = [
      ...held.map((hostLink, at) => ({
        ...client,
        ...{ name: hostLink, uid: hostLink, containerId: hostLink, hostLink },
        ...{ netns: network.netns().path, addresses: [`10.244.0.${at + 20}`] },
      })),
      ...all,
    ];
    const wanted = one.wanted(world);
    const plan = planNode(wanted, one.driver.observe(wanted.ruleset));
    one.driver.apply(plan.filter(({ kind }) => kind !== "fast-path-put"));
    for (const link of held) {
      execFileSync("tc", ["-n", one.netns.name, "qdisc", "add", "dev", link, "clsact"]);
    }
    takeOff("client");
    one.bringTo(world, true);
    const on = one.driver.observe().fastPath?.map(({ link }) => link);
    assert.ok(on?.includes(client.hostLink));
    assert.ok(!on?.some((link) => held.includes(link)));
    one.attachments = all;
    one.bringTo(world, true);
  });

  test("goes from one agent to the next under load, and away with one that has it turned off", async () => {
    show(isolated);
    const world = worldWith(isolated);
    const connection = await opened(pods.client, at.server[0]);
    const talking = talk(connection, 3_000);
    const before = one.driver;
    const successor = (fastPath: boolean) => {
      const next = inNetns(one.netns.path, () => openKernelDriver({ fastPath }));
      const wanted = compileNode(viewFor(world, "one"), one.attachments, next.features).value;
      next.apply(planNode(wanted, next.observe(wanted.ruleset)));
      return next;
    };
    const second = successor(true);
    assert.equal(second.observe().fastPath?.length, 4);
    const without = successor(false);
    assert.equal(without.observe().fastPath, undefined);
    assert.equal(without.missing.get("fastPath"), "it is turned off");
    await talking;
    await ended(connection);
    for (const driver of [second, without]) driver.close();
    assert.equal(before.observe().fastPath, undefined);
    assert.equal(one.bringTo(world, true), 4);
  });

  test("is taken away by an agent that can load no programs", async () => {
    show(isolated);
    assert.equal(one.driver.observe().fastPath?.length, 4);
    // The kernel's types are out of its sight, as in a container that has not been given them.
    const script = `
      const { openKernelDriver } = await import(${JSON.stringify(sourceOf("netlink-driver.ts"))});
      const driver = openKernelDriver();
      const paths = driver.observe().fastPath ?? [];
      driver.apply(paths.map((fastPath) => ({ kind: "fast-path-delete", fastPath })));
      console.log(paths.length, driver.fastPathStatus());`;
    const hide = `mount -t tmpfs tmpfs /sys/kernel/btf && exec "$@"`;
    const node = [process.execPath, "--input-type=module", "-e", script];
    const inside = ["unshare", "-m", "sh", "-c", hide, "sh", ...node];
    const said = execFileSync("nsenter", [`--net=${one.netns.path}`, ...inside], {
      encoding: "utf8",
    });
    assert.match(said, /^4 the kernel does not describe its types/);
    assert.equal(one.driver.observe().fastPath, undefined);
    one.bringTo(worldWith(isolated), true);
  });

  test("delivers nothing to a pod that is gone, nor to the next with its address", async () => {
    show(isolated);
    const connection = await opened(pods.client, at.neighbour[0]);
    await talk(connection, 2);
    const all = one.attachments;
    one.attachments = all.filter(({ name }) => name !== "neighbour");
    one.bringTo(worldWith(isolated));
    one.attachments = await withNextNeighbour(all, "hd00000000aa");
    one.driver.forgetConnections(new Set([at.neighbour[0]]));
    one.bringTo(worldWith(isolated));
    connection.stdin.write("x");
    await connection.end; // the new pod knows nothing of the connection, and resets it
    const again = await opened(pods.client, at.neighbour[0]);
    const before = one.forwarded();
    await talk(again, rounds);
    assert.ok(one.forwarded() - before < 10);
    await ended(again);
  });

  test("keeps no packet from a pod whose address was one's whose link went by itself", {
    timeout: 300_000,
  }, async () => {
    show(isolated);
    const all = one.attachments;
    const world = worldWith(isolated);
    execFileSync("ip", ["-n", one.netns.name, "link", "delete", one.linkOf("neighbour")]);
    one.attachments = all.filter(({ name }) => name !== "neighbour");
    one.bringTo(world, true);
    one.attachments = await withNextNeighbour(all, "hd00000000ab");
    const wanted = one.wanted(world);
    const plan = planNode(wanted, one.driver.observe(wanted.ruleset));
    // As an ADD has it: the new link is left to the plain path until the next look.
    one.driver.apply(plan.filter(({ kind }) => kind !== "fast-path-put"));
    const connection = await opened(pods.client, at.neighbour[0]);
    await talk(connection, 2);
    await ended(connection);
  });

  const indexOf = (pod: PodName) =>
    linksJson(one.netns.path).find(({ ifname }) => ifname === one.linkOf(pod))?.ifindex ?? 0;

  const takeOff = (pod: PodName) => {
    const hook = { linkIndex: indexOf(pod), direction: "ingress" } as const;
    inNetns(one.netns.path, () => detachFromLink(hook, "hd_from_pod"));
  };

  /** The same attachments, with another pod in the neighbour's place, that has its address. */
  const withNextNeighbour = async (all: readonly Attachment[], hostLink: string) => {
    const next = network.netns();
    await serveEcho(next);
    const [neighbour] = all.filter(({ name }) => name === "neighbour");
    assert.ok(neighbour !== undefined);
    const others = all.filter((each) => each !== neighbour);
    const mac = `02:00:00:00:00:${hostLink.slice(-2)}`;
    return [...others, { ...neighbour, netns: next.path, hostLink, mac }];
  };
});

/** Runs while no more than so many files can be opened. */
function withDescriptorsLeft(left: number, action: () => void): void {
  const limit = (words: readonly string[]) =>
    execFileSync("prlimit", [`--pid=${process.pid}`, ...words], { encoding: "utf8" });
  const usual = limit(["--nofile", "--noheadings", "--output=SOFT"]).trim();
  const open = [openSync("/dev/null", "r")];
  limit([`--nofile=${(open[0] ?? 0) + 100}:`]);
  try {
    for (;;) {
      try {
        open.push(openSync("/dev/null", "r"));
      } catch {
        break;
      }
    }
    for (const fd of open.splice(-left)) closeSync(fd);
    action();
  } finally {
    for (const fd of open) closeSync(fd);
    limit([`--nofile=${usual}:`]);
  }
}

function sourceOf(name: string): string {
  return join(import.meta.dirname, "../../src/kernel", name);
}

function silence(): Promise<string> {
  return setTimeout(700, "silence");
}

/** Counts what of each of these sequence numbers comes into a namespace, until the end of the scope. */
function countingSegments(where: Netns, ...sequences: readonly number[]) {
  const counters = sequences.map((sequence) => `counter s${sequence} { }`).join("\n");
  const rules = sequences.map((sequence) => `tcp sequence ${sequence} counter name s${sequence}`);
  const hook = "type filter hook input priority 0";
  nft(where, `table inet seen { ${counters}\nchain input { ${hook}\n${rules.join("\n")}\n}\n}`);
  return {
    count: (sequence: number) => {
      const listing = nft(where, `list counter inet seen s${sequence}`);
      return Number(/packets (\d+)/.exec(listing)?.[1]);
    },
    [Symbol.dispose]: () => void nft(where, "delete table inet seen"),
  };
}

const IPPROTO_RAW = 255;
const SOCK_RAW = 3;

/** An IPv4 packet with an empty TCP segment that acknowledges something. */
function segment(
  source: string,
  destination: string,
  sourcePort: number,
  sequence: number,
): Uint8Array {
  const packet = Buffer.alloc(40);
  packet.set([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6]);
  packet.set(source.split(".").map(Number), 12);
  packet.set(destination.split(".").map(Number), 16);
  packet.writeUInt16BE(sourcePort, 20);
  packet.writeUInt16BE(port, 22);
  packet.writeUInt32BE(sequence, 24);
  packet.set([0x50, 0x10], 32);
  return packet;
}

function sendRaw(from: Netns, packet: Uint8Array, to: string): void {
  inNetns(from.path, () => {
    const fd = libc().socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    try {
      libc().sendTo(
        fd,
        packet,
        Uint8Array.of(AF_INET, 0, 0, 0, ...to.split(".").map(Number), ...Array(8).fill(0)),
      );
    } finally {
      libc().close(fd);
    }
  });
}
