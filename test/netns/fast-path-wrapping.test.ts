/**
 * The overlay's headers, written and taken off by the fast path instead of the overlay's device: that what is on the wire is
 * what the device would send, and that the device does it wherever somebody else is to be asked, or the way is another.
 */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { programsOn } from "../../src/kernel/bpf/attach.ts";
import { missingBpf } from "../../src/kernel/features.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { connect, ip, type Netns, nft, TestNetwork } from "./dataplane-node.ts";
import {
  at,
  type DrivenNode,
  isolated,
  type PodName,
  port,
  twoNodes,
  worldWith,
} from "./fast-path-nodes.ts";
import {
  type Connection,
  ended,
  endTraffic,
  opened,
  serveEcho,
  talk,
} from "./fast-path-traffic.ts";
import { linksJson, needsRoot } from "./kernel-scratch.ts";

const rounds = 100;
const forNobody = isolated.replace("{ app: server } }\n", "{ app: nobody } }\n");
const outerPort = "udp dport 4789 counter";
const atOutput = `chain a { type filter hook output priority 5; ${outerPort} name met; }`;

describe("the overlay's headers", { skip: needsRoot || (missingBpf() ?? false) }, () => {
  let network: TestNetwork;
  let one: DrivenNode;
  let two: DrivenNode;
  let pods: Readonly<Record<PodName, Netns>>;

  before(async () => {
    network = new TestNetwork();
    ({ one, two, pods } = twoNodes(network));
    await serveEcho(pods.server);
    look();
  });
  after(async () => {
    endTraffic();
    for (const node of [one, two]) node.driver.close();
    await network[Symbol.asyncDispose]();
  });

  const look = (world = worldWith(isolated)) => {
    for (const node of [one, two]) node.bringTo(world, true);
  };

  /** Packets that the overlay's devices have sent and received. */
  const byDevice = () => overlayPackets(one) + overlayPackets(two);

  /** How many packets of so many round trips the devices see. */
  const seenOf = async (connection: Connection, times = rounds) => {
    const before = byDevice();
    await talk(connection, times);
    return byDevice() - before;
  };
  const assertWrapped = async (connection: Connection, where = "") => {
    await talk(connection, 2);
    const seen = await seenOf(connection);
    assert.ok(seen < 10, `the devices saw ${seen} packets ${where}`);
  };
  const assertByDevice = async (connection: Connection, where = "") => {
    const seen = await seenOf(connection);
    assert.ok(seen >= 2 * rounds, `the devices saw ${seen} packets ${where}`);
  };

  for (const family of [0, 1] as const) {
    test(`around packets to ${at.server[family]} are written and taken off without the device`, async () => {
      const connection = await opened(pods.client, at.server[family]);
      await assertWrapped(connection);
      await ended(connection);
    });

    test(`around packets to ${at.server[family]} are those that the device writes`, async () => {
      for (const pod of [pods.client, pods.server]) network.sysctl(pod, "net/ipv4/tcp_ecn", "1");
      const connection = await opened(pods.client, at.server[family]);
      await talk(connection, 2);
      const [ours, theirs] = [
        await captured(two, () => assertWrapped(connection)),
        await captured(two, async () => {
          using _guard = guarding(one, atOutput);
          await assertByDevice(connection);
        }),
      ];
      assert.ok(ours.length >= rounds && theirs.length >= rounds);
      assert.deepEqual(new Set(ours), new Set(theirs));
      look();
      await ended(connection);
      for (const pod of [pods.client, pods.server]) network.sysctl(pod, "net/ipv4/tcp_ecn", "2");
    });

    for (const cutBy of ["the receiver's link", "the sender"] as const) {
      test(`around large segments to ${at.server[family]} leave them whole, cut up by ${cutBy}`, async () => {
        const offload = cutBy === "the sender" ? "off" : "on";
        for (const { netns } of [one, two]) {
          for (const feature of ["tso", "gso", "tx"]) {
            const words = [
              "netns",
              "exec",
              netns.name,
              "ethtool",
              "-K",
              "uplink",
              feature,
              offload,
            ];
            execFileSync("ip", words, { stdio: "ignore" });
          }
        }
        const connection = await opened(pods.client, at.server[family]);
        await talk(connection, 2);
        const errors = () => checksumErrors(pods.client) + checksumErrors(pods.server);
        const [seen, wrong] = [byDevice(), errors()];
        assert.equal(await echoedHash(connection, 8 * 1024 * 1024), "the same");
        assert.ok(byDevice() - seen < 10, `the devices saw ${byDevice() - seen} packets`);
        assert.equal(errors() - wrong, 0);
        await ended(connection);
        for (const { netns } of [one, two]) {
          for (const feature of ["tx", "gso", "tso"]) {
            const words = ["netns", "exec", netns.name, "ethtool", "-K", "uplink", feature, "on"];
            execFileSync("ip", words, { stdio: "ignore" });
          }
        }
      });
    }
  }

  test("around what the fast path does not know are the device's", async () => {
    await network.serveUdp(pods.server, port + 2, "server");
    look(worldWith(forNobody));
    const before = byDevice();
    assert.match(await connect(pods.client, at.server[0], port + 2, "udp", 5), /^server /);
    assert.ok(byDevice() - before >= 2);
    look();
  });

  for (const [where, table] of Object.entries(chainsOutside())) {
    test(`are the device's while somebody else has a rule at ${where}`, async () => {
      const connection = await opened(pods.client, at.server[0]);
      await assertWrapped(connection);
      {
        using _guard = guarding(one, table);
        await assertByDevice(connection, "before the agent looks");
        look();
        await assertByDevice(connection, "after the agent has looked");
        assert.ok(guarded(one) > rounds, "the rule has met them");
      }
      look();
      await assertWrapped(connection, "after the rule has gone");
      await ended(connection);
    });
  }

  test("are not the device's for a chain that translates, nor for one without a rule", async () => {
    const connection = await opened(pods.client, at.server[0]);
    {
      using _guard = guarding(
        one,
        `chain a { type nat hook output priority 5; ip daddr 198.51.100.7 dnat to 198.51.100.8; }
         chain b { type filter hook input priority 5; policy accept; }`,
      );
      look();
      await assertWrapped(connection);
    }
    look();
    await ended(connection);
  });

  test("stay ours through changes of our own rules", async () => {
    const connection = await opened(pods.client, at.server[0]);
    await talk(connection, 2);
    const before = byDevice();
    for (let i = 0; i < 5; i++) {
      for (const node of [one, two]) {
        node.bringTo(worldWith(i % 2 === 0 ? forNobody : isolated));
      }
      await talk(connection, rounds);
    }
    assert.ok(byDevice() - before < 20, `the devices saw ${byDevice() - before} packets`);
    look();
    await ended(connection);
  });

  test("are the device's as soon as there is an IPsec policy", async () => {
    const connection = await opened(pods.client, at.server[0]);
    await assertWrapped(connection);
    const policy = "dir out src 198.51.100.1 dst 198.51.100.2";
    ip(one.netns, `xfrm policy add ${policy}`);
    const seen = await seenOf(connection);
    assert.ok(seen >= 2 * rounds, `what node one sends and gets: ${seen}`);
    ip(one.netns, `xfrm policy delete ${policy}`);
    await assertWrapped(connection);
    await ended(connection);
  });

  for (const [link, queue] of [
    ["uplink", "clsact"],
    ["hdvxlan", "root pfifo"],
  ] as const) {
    test(`are the device's while somebody else has ${queue} on ${link}`, async () => {
      const connection = await opened(pods.client, at.server[0]);
      await assertWrapped(connection);
      tc(one, "add", link, queue);
      look();
      await assertByDevice(connection);
      tc(one, "delete", link, queue);
      look();
      await assertWrapped(connection);
      await ended(connection);
    });
  }

  test("are the device's around what does not fit the uplink", async () => {
    const connection = await opened(pods.client, at.server[0]);
    await assertWrapped(connection);
    for (const { netns } of [one, two]) ip(netns, "link set uplink mtu 1400");
    await assertWrapped(connection, "of small ones");
    const before = byDevice();
    assert.equal(await echoedHash(connection, 256 * 1024), "the same");
    assert.ok(byDevice() - before > 100, "large ones");
    for (const { netns } of [one, two]) ip(netns, "link set uplink mtu 1500");
    await ended(connection);
  });

  test("follow the uplink to another link, and the node to another address", async () => {
    const connection = await opened(pods.client, at.server[0]);
    await assertWrapped(connection);
    ip(one.netns, "link delete uplink");
    ip(one.netns, "link add spare type veth peer name spare-too"); // so that the next has another index
    ip(one.netns, `link add uplink type veth peer name uplink netns ${two.netns.name}`);
    ip(one.netns, "address add 192.0.2.1/24 dev uplink; link set uplink up");
    ip(two.netns, "address add 192.0.2.2/24 dev uplink; link set uplink up");
    await talk(connection, 2);
    look();
    await assertWrapped(connection, "by another link");
    ip(one.netns, "address add 192.0.2.11/24 dev uplink");
    look(worldWith(isolated, ["192.0.2.11", "192.0.2.2"]));
    await assertWrapped(connection, "from another address");
    look();
    ip(one.netns, "address delete 192.0.2.11/24 dev uplink");
    await assertWrapped(connection, "from the first");
    await ended(connection);
  });

  test("are the device's where the node's routes lead to the other by another link", async () => {
    ip(one.netns, `link add aside type veth peer name aside netns ${two.netns.name}`);
    ip(one.netns, "address add 198.51.100.1/24 dev aside; link set aside up");
    ip(two.netns, "address add 198.51.100.2/24 dev aside; link set aside up");
    const connection = await opened(pods.client, at.server[0]);
    await assertWrapped(connection);
    ip(one.netns, "route add 192.0.2.2/32 via 198.51.100.2 dev aside");
    const seen = await seenOf(connection);
    assert.ok(seen >= 2 * rounds, `node one sends and node two receives: the devices saw ${seen}`);
    ip(one.netns, "route delete 192.0.2.2/32; link delete aside");
    await assertWrapped(connection);
    await ended(connection);
  });

  test("are the device's between nodes that speak IPv6 to each other", async () => {
    const nodes = ["2001:db8::1", "2001:db8::2"] as const;
    for (const [index, { netns }] of [one, two].entries()) {
      ip(netns, `address add ${nodes[index]}/64 dev uplink nodad`);
    }
    look(worldWith(isolated, nodes));
    const connection = await opened(pods.client, at.server[1]);
    await talk(connection, 2);
    await assertByDevice(connection);
    await ended(connection);
    look();
  });

  test("are the device's when the fast path is turned off, and nothing is left on the uplink", async () => {
    const connection = await opened(pods.client, at.server[0]);
    await assertWrapped(connection);
    const onUplink = () => programsOnUplink(one);
    assert.deepEqual(onUplink(), ["hd_from_uplink"]);
    const without = inNetns(one.netns.path, () => openKernelDriver({ fastPath: false }));
    without.observe();
    assert.deepEqual(onUplink(), []);
    without.close();
    await talk(connection, 2);
    await ended(connection);
    look();
  });
});

function overlayPackets({ netns }: DrivenNode): number {
  const text = execFileSync("ip", ["-n", netns.name, "-s", "-j", "link", "show", "hdvxlan"], {
    encoding: "utf8",
  });
  const [link]: { stats64: Record<"rx" | "tx", { packets: number }> }[] = JSON.parse(text);
  return (link?.stats64.rx.packets ?? 0) + (link?.stats64.tx.packets ?? 0);
}

/** One for each place at which the outer packets of a node can be met. */
function chainsOutside(): Readonly<Record<string, string>> {
  const chain = (hook: string, rule = `${outerPort} name met`) =>
    `chain a { type filter hook ${hook} priority 5; ${rule}; }`;
  return {
    output: atOutput,
    postrouting: chain("postrouting"),
    prerouting: chain("prerouting"),
    input: chain("input"),
    "the uplink's ingress": chain("ingress device uplink"),
    "the uplink's egress": chain("egress device uplink"),
  };
}

/** A table of somebody else's, until the end of the scope. */
function guarding({ netns }: DrivenNode, chains: string): Disposable {
  const family = chains.includes(" device ") ? "netdev" : "inet";
  nft(netns, `table ${family} guard { counter met { }\n${chains}\n}`);
  return { [Symbol.dispose]: () => void nft(netns, `delete table ${family} guard`) };
}

function guarded({ netns }: DrivenNode): number {
  const words = ["netns", "exec", netns.name, "nft", "-j", "list", "counters"];
  const listing = execFileSync("ip", words, { encoding: "utf8" });
  const { nftables }: { nftables: { counter?: { name: string; packets: number } }[] } =
    JSON.parse(listing);
  return nftables.find(({ counter }) => counter?.name === "met")?.counter?.packets ?? 0;
}

function tc({ netns }: DrivenNode, verb: string, link: string, queue: string): void {
  const words = ["-n", netns.name, "qdisc", verb, "dev", link, ...queue.split(" ")];
  execFileSync("tc", verb === "delete" && queue !== "clsact" ? words.slice(0, 7) : words);
}

function programsOnUplink({ netns }: DrivenNode): readonly string[] {
  const uplink = linksJson(netns.path).find(({ ifname }) => ifname === "uplink");
  const hook = { linkIndex: uplink?.ifindex ?? 0, direction: "ingress" } as const;
  return inNetns(netns.path, () => programsOn(hook)).map(({ name }) => name);
}

function checksumErrors(where: Netns): number {
  const words = ["netns", "exec", where.name, "nstat", "-asz", "TcpInCsumErrors"];
  const text = execFileSync("ip", words, { encoding: "utf8" });
  return Number(/TcpInCsumErrors\s+(\d+)/.exec(text)?.[1]);
}

/** Sends bytes to a server that echoes, and compares what comes back. */
async function echoedHash({ stdin, stdout }: Connection, bytes: number): Promise<string> {
  const sent = randomBytes(bytes);
  const back = createHash("sha256");
  stdin.write(sent);
  for (let left = bytes; left > 0; ) {
    const [chunk]: Buffer[] = await once(stdout, "data");
    left -= chunk?.length ?? 0;
    back.update(chunk ?? "");
  }
  const wanted = createHash("sha256").update(sent).digest("hex");
  return back.digest("hex") === wanted ? "the same" : "different";
}

/**
 * What stands before the inner packets of one byte of data that node `to` gets while `action` runs: Ethernet to inner Ethernet,
 * in hexadecimal. Without what differs from packet to packet, or may: the outer packet's number and its two checksums.
 */
async function captured(to: DrivenNode, action: () => Promise<void>): Promise<readonly string[]> {
  const words = ["netns", "exec", to.netns.name, "tcpdump", "-i", "uplink", "-Q", "in"];
  const child = spawn("ip", [
    ...words,
    "-s",
    "200",
    "--immediate-mode",
    "-U",
    "-w",
    "-",
    "udp port 4789",
  ]);
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(child.stderr, "data"); // it listens
  await action();
  child.kill("SIGINT");
  await once(child, "close");
  return framesOf(Buffer.concat(chunks)).filter(hasOneByte).map(outerOf);
}

function framesOf(file: Buffer): readonly Buffer[] {
  const frames: Buffer[] = [];
  for (let offset = 24; offset + 16 <= file.length; ) {
    const length = file.readUInt32LE(offset + 8);
    frames.push(file.subarray(offset + 16, offset + 16 + length));
    offset += 16 + length;
  }
  return frames;
}

const outerBytes = 64;

function hasOneByte(frame: Buffer): boolean {
  const inner = frame.subarray(outerBytes);
  const isIpv4 = frame.readUInt16BE(outerBytes - 2) === 0x0800;
  const headerBytes = isIpv4 ? 20 : 40;
  const dataOffset = (inner[headerBytes + 12] ?? 0) >> 4;
  return inner.length === headerBytes + dataOffset * 4 + 1;
}

function outerOf(frame: Buffer): string {
  const outer = Buffer.from(frame.subarray(0, outerBytes));
  for (const differing of [18, 24, 40]) outer.fill(0, differing, differing + 2);
  return outer.toString("hex");
}
