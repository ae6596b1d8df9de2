/**
 * Packets that pass beside netfilter, between real namespaces on two nodes: which ones do, and that nothing passes that the
 * rules would have refused. A table of the test's own counts what netfilter still sees.
 */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { Resource } from "../../src/api/resource.ts";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { planNode } from "../../src/core/dataplane/plan-node.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { type World, worldOf } from "../../src/core/registry/world.ts";
import { detachFromLink } from "../../src/kernel/bpf/attach.ts";
import type { KernelDriver } from "../../src/kernel/driver.ts";
import { missingBpf } from "../../src/kernel/features.ts";
import { AF_INET, libc } from "../../src/kernel/ffi.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { NodeState } from "../../src/model/node-state.ts";
import type { Attachment } from "../../src/model/node-view.ts";
import { connect, ip, type Netns, nft, TestNetwork, TestNode } from "./dataplane-node.ts";
import { linksJson, needsRoot } from "./kernel-scratch.ts";

const port = 8080;
const rounds = 200;
const at = {
  client: ["10.244.0.1", "fd00:244::1"],
  stranger: ["10.244.0.2", "fd00:244::2"],
  neighbour: ["10.244.0.3", "fd00:244::3"],
  server: ["10.244.0.65", "fd00:244::41"],
} as const;

type Name = keyof typeof at;

const isolated = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: server }
spec:
  podSelector: { matchLabels: { app: server } }
  ingress: [{ from: [{ podSelector: { matchLabels: { app: client } } }], ports: [{ port: ${port} }] }]
`;
const closed = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: server }
spec: { podSelector: {}, policyTypes: [Ingress, Egress] }
`;

function worldWith(policy: string): World {
  const documents = [
    policy,
    `
apiVersion: heddle.dev/v1
kind: Network
metadata: { name: default }
spec: { podCidr: 10.244.0.0/16, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: vxlan }
---
apiVersion: heddle.dev/v1
kind: AddressPool
metadata: { name: six }
spec: { cidr: "fd00:244::/64" }`,
    nodeYaml("one", "192.0.2.1", ["10.244.0.0/26", "fd00:244::/122"]),
    nodeYaml("two", "192.0.2.2", ["10.244.0.64/26", "fd00:244::40/122"]),
    podYaml("client", "one"),
    podYaml("stranger", "one"),
    podYaml("neighbour", "one"),
    podYaml("server", "two"),
  ];
  const text = documents.join("\n---\n");
  return worldOf(parseAllDocuments(text).map((each) => each.toJS() as Resource));
}

function nodeYaml(name: string, address: string, cidrs: readonly string[]): string {
  const blocks = cidrs.map(
    (cidr, index) => `
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: ${name}-${index} }
spec: { cidr: "${cidr}", node: ${name} }`,
  );
  const node = `
apiVersion: v1
kind: Node
metadata: { name: ${name} }
status: { addresses: [{ type: InternalIP, address: ${address} }] }`;
  return [node, ...blocks].join("\n---");
}

function podYaml(name: Name, node: string): string {
  const addresses = at[name].map((each) => `{ ip: "${each}" }`);
  return `
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: ${name}, uid: ${name}, labels: { app: ${name} } }
spec: { nodeName: ${node}, containers: [] }
status: { phase: Running, podIP: ${at[name][0]}, podIPs: [${addresses}] }`;
}

/** A node whose kernel is brought to what the world says by our own driver, as an agent does. */
class DrivenNode {
  readonly netns: Netns;
  readonly driver: KernelDriver;
  readonly name: string;
  attachments: readonly Attachment[];
  #inForce: NodeState | undefined;

  constructor(name: string, { host, attachments }: TestNode) {
    this.name = name;
    this.netns = host;
    this.attachments = attachments.map((each) => ({ ...each, netns: `/run/netns/${each.netns}` }));
    this.driver = inNetns(host.path, openKernelDriver);
  }

  wanted(world: World): NodeState {
    return compileNode(viewFor(world, this.name), this.attachments, this.driver.features).value;
  }

  /** Number of steps that it took. */
  bringTo(world: World, looks = false): number {
    const wanted = this.wanted(world);
    const before = looks ? undefined : this.#inForce;
    const plan = planNode(wanted, before ?? this.driver.observe(wanted.ruleset));
    this.driver.apply(plan);
    this.#inForce = wanted;
    return plan.length;
  }

  linkOf(pod: Name): string {
    return this.attachments.find(({ name }) => name === pod)?.hostLink ?? "";
  }

  /** Packets that chain `forward` of netfilter has seen. */
  forwarded(): number {
    const listing = execFileSync(
      "ip",
      ["netns", "exec", this.netns.name, "nft", "-j", "list", "counters", "table", "inet", "watch"],
      { encoding: "utf8" },
    );
    return Number(/"packets": (\d+)/.exec(listing)?.[1]);
  }
}

const watch = `table inet watch {
  counter seen { }
  chain forward { type filter hook forward priority -10; policy accept; counter name seen; }
}`;

describe("the fast path", { skip: needsRoot || (missingBpf() ?? false) }, () => {
  let network: TestNetwork;
  let one: DrivenNode;
  let two: DrivenNode;
  let pods: Readonly<Record<Name, Netns>>;

  before(async () => {
    network = new TestNetwork();
    const world = worldWith(isolated);
    const nodes = [
      new TestNode(network, "one", world),
      new TestNode(network, "two", world),
    ] as const;
    const [here, there] = nodes;
    pods = {
      client: here.pod("shop/client"),
      stranger: here.pod("shop/stranger"),
      neighbour: here.pod("shop/neighbour"),
      server: there.pod("shop/server"),
    };
    ip(here.host, `link add uplink type veth peer name uplink netns ${there.host.name}`);
    ip(here.host, "address add 192.0.2.1/24 dev uplink; link set uplink up");
    ip(there.host, "address add 192.0.2.2/24 dev uplink; link set uplink up");
    one = new DrivenNode("one", here);
    two = new DrivenNode("two", there);
    for (const node of [one, two]) nft(node.netns, watch);
    for (const pod of ["server", "neighbour"] as const) await serveEcho(pods[pod]);
  });
  after(async () => {
    for (const server of echoing) server.close();
    for (const socket of echoed) socket.destroy();
    for (const node of [one, two]) node.driver.close();
    await network[Symbol.asyncDispose]();
  });

  const show = (policy: string) => {
    for (const node of [one, two]) node.bringTo(worldWith(policy));
  };
  const forwarded = () => one.forwarded() + two.forwarded();

  for (const family of [0, 1]) {
    for (const to of ["server", "neighbour"] as const) {
      test(`takes an established connection to ${at[to][family]}, under its policy`, async () => {
        show(isolated);
        assert.equal(one.driver.missing.get("fastPath"), undefined);
        const socket = await opened(pods.client, at[to][family] ?? "");
        await talk(socket, 2);
        const before = forwarded();
        await talk(socket, rounds);
        assert.ok(forwarded() - before < 10, `netfilter saw ${forwarded() - before} packets`);
        await ended(socket);
      });
    }
  }

  test("leaves a connection's end to connection tracking, however far it went", async () => {
    show(isolated);
    const socket = await opened(pods.client, at.server[0]);
    const { localPort } = socket;
    await talk(socket, 40, 512 * 1024);
    await ended(socket);
    for (const node of [one, two]) {
      const states = tracked(node.netns).filter((line) => line.includes(`sport=${localPort} `));
      assert.equal(states.length, 1);
      assert.match(states.join(), /TIME_WAIT|LAST_ACK|CLOSE/);
    }
  });

  test("does not end with a policy that refuses new connections", async () => {
    show(isolated);
    const socket = await opened(pods.client, at.server[0]);
    await talk(socket, 2);
    show(closed);
    await talk(socket, rounds);
    assert.equal(await connect(pods.client, at.server[0], port), "timeout");
    await ended(socket);
    show(isolated);
    assert.equal(await connect(pods.stranger, at.server[0], port), "timeout");
  });

  test("ends at once with a connection that is forgotten", async () => {
    show(isolated);
    const socket = await opened(pods.client, at.server[0]);
    await talk(socket, 2);
    show(closed);
    for (const node of [one, two]) node.driver.forgetConnections(new Set([at.client[0]]));
    const outcome = talk(socket, 1).then(
      () => "answered",
      () => "cut off",
    );
    assert.equal(await Promise.race([outcome, silence()]), "silence");
    socket.kill();
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
    const socket = await opened(pods.client, "10.96.7.7", 80);
    await talk(socket, 2);
    const before = one.forwarded();
    await talk(socket, rounds);
    assert.ok(one.forwarded() - before >= 2 * rounds, "both directions are translated on node one");
    await ended(socket);
  });

  test("refuses a forged segment of somebody else's connection", async () => {
    show(isolated);
    const socket = await opened(pods.client, at.server[0]);
    await talk(socket, 2);
    const received = () => segmentsIn(pods.server);
    const settled = await stable(received);
    const forged = segment(at.client[0], at.server[0], socket.localPort);
    for (let i = 0; i < 20; i++) sendRaw(pods.stranger, forged, at.server[0]);
    assert.equal(await stable(received), settled);
    sendRaw(pods.client, forged, at.server[0]);
    assert.equal(await stable(received), settled + 1, "the same from the pod itself arrives");
    await ended(socket);
  });

  test("is put right when its maps or programs are damaged", async () => {
    show(isolated);
    const world = worldWith(isolated);
    assert.equal(one.bringTo(world, true), 0);
    inNetns(one.netns.path, () => {
      const links = linksJson(one.netns.path);
      const index = links.find(({ ifname }) => ifname === one.linkOf("client"))?.ifindex ?? 0;
      detachFromLink({ linkIndex: index, direction: "ingress" }, "hd_from_pod");
    });
    assert.equal(one.bringTo(world, true), 1);
    assert.equal(one.bringTo(world, true), 0);
  });

  test("passes by no queue and no filter that somebody else put on a pod's link", async () => {
    show(isolated);
    const link = one.linkOf("client");
    execFileSync("tc", ["-n", one.netns.name, "qdisc", "add", "dev", link, "clsact"]);
    one.bringTo(worldWith(isolated), true);
    const socket = await opened(pods.client, at.server[0]);
    await talk(socket, 2);
    const before = one.forwarded();
    await talk(socket, rounds);
    assert.ok(one.forwarded() - before >= 2 * rounds);
    await ended(socket);
    execFileSync("tc", ["-n", one.netns.name, "qdisc", "delete", "dev", link, "clsact"]);
    one.bringTo(worldWith(isolated), true);
    assert.equal(one.bringTo(worldWith(isolated), true), 0);
  });

  test("goes from one agent to the next under load, and away with one that has it turned off", async () => {
    show(isolated);
    const world = worldWith(isolated);
    const socket = await opened(pods.client, at.server[0]);
    const talking = talk(socket, 3_000);
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
    await ended(socket);
    for (const driver of [second, without]) driver.close();
    assert.equal(before.observe().fastPath, undefined);
    assert.equal(one.bringTo(world, true), 4);
  });

  test("delivers nothing to a pod that is gone, nor to the next with its address", async () => {
    show(isolated);
    const socket = await opened(pods.client, at.neighbour[0]);
    await talk(socket, 2);
    const all = one.attachments;
    one.attachments = all.filter(({ name }) => name !== "neighbour");
    one.bringTo(worldWith(isolated));
    const next = network.netns();
    await serveEcho(next);
    one.attachments = [
      ...one.attachments,
      ...all
        .filter(({ name }) => name === "neighbour")
        .map((each) => ({
          ...each,
          netns: next.path,
          hostLink: "hd00000000aa",
          mac: "02:00:00:00:00:aa",
        })),
    ];
    one.driver.forgetConnections(new Set([at.neighbour[0]]));
    one.bringTo(worldWith(isolated));
    socket.stdin.write("x");
    await socket.end; // the new pod knows nothing of the connection, and resets it
    const again = await opened(pods.client, at.neighbour[0]);
    const before = one.forwarded();
    await talk(again, rounds);
    assert.ok(one.forwarded() - before < 10);
    await ended(again);
  });
});

const echoing: Server[] = [];
const echoed: Socket[] = [];

async function serveEcho(where: Netns): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    echoed.push(socket);
    socket.pipe(socket);
  });
  echoing.push(server);
  inNetns(where.path, () => server.listen(port));
  if (!server.listening) await once(server, "listening");
}

/** One connection of a pod, in a process of its own: Node connects too late to borrow a namespace. */
interface Connection {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly localPort: number;
  readonly end: Promise<unknown>;
  kill(): void;
}

const client = `
  const socket = require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]), noDelay: true });
  socket.on("error", () => process.exit(1));
  socket.on("close", () => process.exit(0));
  socket.on("connect", () => {
    process.stderr.write(String(socket.localPort));
    process.stdin.pipe(socket);
    socket.pipe(process.stdout);
  });`;

async function opened(from: Netns, host: string, at = port): Promise<Connection> {
  const child = inNetns(from.path, () => spawn(process.execPath, ["-e", client, host, String(at)]));
  child.stdin.on("error", () => child.stdin.destroy());
  const end = once(child, "exit");
  const [localPort] = await once(child.stderr, "data");
  const { stdin, stdout } = child;
  return { stdin, stdout, localPort: Number(localPort), end, kill: () => void child.kill() };
}

/** Sends so often as many bytes, and waits for them each time. */
async function talk({ stdin, stdout }: Connection, times: number, bytes = 1): Promise<void> {
  const sent = Buffer.alloc(bytes, "x");
  for (let i = 0; i < times; i++) {
    stdin.write(sent);
    for (let left = bytes; left > 0; ) {
      const [chunk]: Buffer[] = await once(stdout, "data");
      left -= chunk?.length ?? 0;
    }
  }
}

async function ended({ stdin, end }: Connection): Promise<void> {
  stdin.end();
  await end;
}

function silence(): Promise<string> {
  return new Promise((resolve) => setTimeout(() => resolve("silence"), 700));
}

function tracked(where: Netns): readonly string[] {
  const words = ["netns", "exec", where.name, "conntrack", "-L", "-p", "tcp"];
  return execFileSync("ip", words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split(
    "\n",
  );
}

/** TCP segments that a namespace has received. */
function segmentsIn(where: Netns): number {
  const words = ["netns", "exec", where.name, "nstat", "-asz", "TcpInSegs"];
  return Number(/TcpInSegs\s+(\d+)/.exec(execFileSync("ip", words, { encoding: "utf8" }))?.[1]);
}

/** A number once it has stayed the same for a while. */
async function stable(read: () => number): Promise<number> {
  for (let last = read(); ; ) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    const now = read();
    if (now === last) return now;
    last = now;
  }
}

const IPPROTO_RAW = 255;
const SOCK_RAW = 3;

/** An IPv4 packet with an empty TCP segment that acknowledges something. */
function segment(source: string, destination: string, sourcePort: number): Uint8Array {
  const packet = Buffer.alloc(40);
  packet.set([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6]);
  packet.set(source.split(".").map(Number), 12);
  packet.set(destination.split(".").map(Number), 16);
  packet.writeUInt16BE(sourcePort, 20);
  packet.writeUInt16BE(port, 22);
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
