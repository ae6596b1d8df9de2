/** Services in a running kernel, with real packets: every kind of address, every policy, both families. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseAllDocuments } from "yaml";
import type { Resource } from "../../src/api/resource.ts";
import { renderRulesetChange } from "../../src/core/dataplane/ruleset-change.ts";
import { staleConnections } from "../../src/core/dataplane/stale-connections.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { type World, worldOf } from "../../src/core/registry/world.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { NodeState } from "../../src/model/node-state.ts";
import { connect, ip, type Netns, nft, TestNetwork, TestNode } from "./dataplane-node.ts";

interface SlicePart {
  readonly address: string;
  readonly node?: string;
  readonly more?: string;
}

const here = (address: string): SlicePart => ({ address, node: "one" });
const there = (address: string): SlicePart => ({ address, node: "two" });
const leaving = (part: SlicePart): SlicePart => ({
  ...part,
  more: "conditions: { ready: false, serving: true, terminating: true }",
});

const pods = ["10.244.0.1", "10.244.0.2"] as const;
/** Stands for a pod of another node: reached by way of the underlay. */
const far = "203.0.113.9";

const base = `---
apiVersion: v1
kind: Node
metadata: { name: one }
status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] }
${pods
  .map(
    (address, index) => `---
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: web-${index}, uid: web-${index} }
spec: { nodeName: one, containers: [{ name: main, image: any }] }
status: { phase: Running, podIP: ${address}, conditions: [{ type: Ready, status: "True" }] }
`,
  )
  .join("")}`;

/** A Service `name` at 10.96.0.<number>, port 80 to 8080, with what else its spec says. */
function service(
  name: string,
  number: number,
  endpoints: readonly SlicePart[],
  spec = "",
  { protocol = "TCP", rest = "", weights = "" } = {},
): string {
  const metadata = weights === "" ? "" : `, annotations: { heddle.dev/weights: "${weights}" }`;
  return `---
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: ${name} }
spec:
  clusterIP: 10.96.0.${number}
  ports: [{ port: 80, protocol: ${protocol}, targetPort: 8080, nodePort: ${30000 + number} }]
  ${spec}
${rest}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: shop, name: ${name}, labels: { kubernetes.io/service-name: ${name} }${metadata} }
addressType: IPv4
ports: [{ name: "", protocol: ${protocol}, port: 8080 }]
endpoints: [${endpoints
    .map(
      ({ address, node, more }) =>
        `{ addresses: [${address}]${node === undefined ? "" : `, nodeName: ${node}`}${more === undefined ? "" : `, ${more}`} }`,
    )
    .join(", ")}]
`;
}

const balanced = (ip: string) => `status: { loadBalancer: { ingress: [{ ip: ${ip} }] } }`;
const both = pods.map(here);

const services = [
  service("web", 10, both, "externalIPs: [198.51.100.10]"),
  service("clock", 11, [here(pods[0])], "", { protocol: "UDP" }),
  service("empty", 12, [], "externalIPs: [198.51.100.12]", { rest: balanced("198.51.100.112") }),
  service("local", 13, [here(pods[0]), there(far)], "externalTrafficPolicy: Local", {
    rest: balanced("198.51.100.13"),
  }),
  service(
    "elsewhere",
    14,
    [there(far)],
    "externalTrafficPolicy: Local, internalTrafficPolicy: Local".replace(", ", "\n  "),
  ),
  service("guarded", 15, both, "loadBalancerSourceRanges: [192.0.2.0/24, 192.0.2.7/32]", {
    rest: balanced("198.51.100.15"),
  }),
  service("inside", 16, [here(pods[1]), there(far)], "internalTrafficPolicy: Local"),
  service("leaving", 17, [leaving(here(pods[0]))]),
  service("self", 18, [here(pods[0])]),
  service("weighted", 19, both, "", { weights: `${pods[0]}=0,${pods[1]}=2` }),
  service("maglev", 20, both).replace(
    "name: maglev }",
    "name: maglev, annotations: { heddle.dev/load-balancing: maglev } }",
  ),
  service("far", 21, [there(far)]),
];

const sticky = (endpoints: readonly SlicePart[]) =>
  service("sticky", 30, endpoints, "sessionAffinity: ClientIP");

const six = `---
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: six }
spec:
  clusterIPs: [fd00:96::10]
  clusterIP: fd00:96::10
  externalIPs: [fd00:51::10]
  ports: [{ port: 80, targetPort: 8080 }, { name: none, port: 81 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: shop, name: six, labels: { kubernetes.io/service-name: six } }
addressType: IPv6
ports: [{ name: "", protocol: TCP, port: 8080 }]
endpoints: [{ addresses: ["fd00:113::9"] }]
---
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: six-sticky }
spec:
  clusterIPs: [fd00:96::11]
  clusterIP: fd00:96::11
  sessionAffinity: ClientIP
  ports: [{ port: 80, targetPort: 8080 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: shop, name: six-sticky, labels: { kubernetes.io/service-name: six-sticky } }
addressType: IPv6
ports: [{ name: "", protocol: TCP, port: 8080 }]
endpoints: [{ addresses: ["fd00:113::9"] }, { addresses: ["fd00:113::a"] }]
`;

function worldFrom(parts: readonly string[]): World {
  return worldOf(
    [base, ...parts, six]
      .flatMap((yaml) => parseAllDocuments(yaml))
      .map((document) => document.toJS())
      .filter((each): each is Resource => each !== null),
  );
}

describe("Services in the kernel", { skip: needsRoot() }, () => {
  const network = new TestNetwork();
  const world = worldFrom([...services, sticky(both)]);
  let node: TestNode;
  let state: NodeState;
  let client: Netns;
  let stranger: Netns;

  before(async () => {
    node = new TestNode(network, "one", world);
    client = network.netns();
    stranger = network.netns();
    joinRouter(
      node.host,
      client,
      "eth0",
      ["192.0.2.1/24", "192.0.2.7/24"],
      ["fd00:2::1", "fd00:2::7"],
    );
    joinRouter(
      node.host,
      stranger,
      "eth1",
      ["203.0.113.1/24", `${far}/24`],
      ["fd00:113::1", "fd00:113::9"],
    );
    ip(stranger, "address add fd00:113::a/64 dev eth0 nodad");
    ip(node.host, "route add default via 192.0.2.7; route add default via fd00:2::7");
    state = node.compile("one", world);
    node.realise(state);
    for (const index of [0, 1]) {
      const pod = node.pod(`shop/web-${index}`);
      await network.serve(pod, 8080, `web-${index}`);
      await network.serveUdp(pod, 8080, `clock-${index}`);
    }
    await network.serve(stranger, 8080, "far");
    inNetns(node.host.path, () => writeFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "1"));
  });

  after(() => network[Symbol.asyncDispose]());

  const find = (name: string): Netns => {
    if (name === "client") return client;
    if (name === "stranger") return stranger;
    return name === "node" ? node.host : node.pod(`shop/${name}`);
  };

  /** from, address, port, and the answers that may come: whom it reached and what that saw as the client. */
  async function expectAll(
    rows: readonly (readonly [string, string, number, string | readonly string[]])[],
  ) {
    const found = await Promise.all(
      rows.map(async ([from, address, port, wanted]) => {
        const patience = wanted === "timeout" ? 0.6 : 5;
        const answer = await connect(find(from), address, port, "tcp", patience);
        return [from, address, port, wanted.includes(answer) ? wanted : answer];
      }),
    );
    assert.deepEqual(found, rows);
  }

  const any = (seen: string) => [`web-0 ${seen}`, `web-1 ${seen}`];

  test("a cluster address leads pods, the node and others to an endpoint", () =>
    expectAll([
      ["web-0", "10.96.0.21", 80, "far 192.0.2.1".replace("192.0.2.1", "203.0.113.1")],
      ["web-1", "10.96.0.18", 80, "web-0 10.244.0.2"],
      ["node", "10.96.0.10", 80, any("192.0.2.1")],
      ["client", "10.96.0.10", 80, any("192.0.2.1")],
      ["client", "10.96.0.17", 80, "web-0 192.0.2.1"],
    ]));

  test("node ports answer on the node's address, on its loopback and to pods", () =>
    expectAll([
      ["client", "192.0.2.1", 30010, any("192.0.2.1")],
      ["node", "192.0.2.1", 30010, any("192.0.2.1")],
      ["node", "127.0.0.1", 30010, any("192.0.2.1")],
      ["node", "127.0.0.1", 30021, "far 203.0.113.1"],
      ["web-0", "192.0.2.1", 30018, "web-0 169.254.1.1"],
      ["web-1", "192.0.2.1", 30018, "web-0 192.0.2.1"],
      ["client", "192.0.2.1", 30021, "far 203.0.113.1"],
      ["client", "203.0.113.1", 30010, "refused"],
    ]));

  test("nobody but the node reaches its loopback, although the kernel routes it now", async () => {
    await network.serve(node.host, 7777, "private");
    ip(client, "route add 127.0.0.0/8 via 192.0.2.1 table 7");
    ip(
      client,
      "rule add to 127.0.0.0/8 table 7 priority 0; rule delete table local; rule add table local priority 1",
    );
    try {
      assert.equal(await connect(node.host, "127.0.0.1", 7777, "tcp", 5), "private 127.0.0.1");
      assert.equal(await connect(client, "127.0.0.1", 7777), "timeout");
    } finally {
      ip(client, "rule delete to 127.0.0.0/8 table 7");
    }
  });

  test("external and load balancer addresses lead to an endpoint, and only for their ports", () =>
    expectAll([
      ["client", "198.51.100.10", 80, any("192.0.2.1")],
      ["web-0", "198.51.100.15", 80, "timeout"],
      ["client", "198.51.100.15", 80, any("192.0.2.1")],
      ["stranger", "198.51.100.15", 80, "timeout"],
      ["stranger", "192.0.2.1", 30015, any("192.0.2.1")],
    ]));

  test("external policy Local keeps the client's address and stays on the node", () =>
    expectAll([
      ["client", "198.51.100.13", 80, "web-0 192.0.2.7"],
      ["client", "192.0.2.1", 30013, "web-0 192.0.2.7"],
      ["client", "192.0.2.1", 30014, "timeout"],
      ["node", "192.0.2.1", 30014, "far 203.0.113.1"],
    ]));

  test("internal policy Local stays on the node, and drops where the node has none", () =>
    expectAll([
      ["web-0", "10.96.0.16", 80, "web-1 10.244.0.1"],
      ["web-0", "10.96.0.14", 80, "timeout"],
    ]));

  test("where there is no endpoint every address refuses at once", () =>
    expectAll([
      ["web-0", "10.96.0.12", 80, "refused"],
      ["client", "198.51.100.12", 80, "refused"],
      ["client", "198.51.100.112", 80, "refused"],
      ["client", "192.0.2.1", 30012, "refused"],
      ["node", "127.0.0.1", 30012, "refused"],
      ["web-0", "10.96.0.10", 81, "refused"],
      ["web-0", "10.96.0.99", 80, "timeout"],
    ]));

  test("UDP is served like TCP", async () => {
    const udp = (from: string, address: string, port: number) =>
      connect(find(from), address, port, "udp", 5);
    assert.deepEqual(
      await Promise.all([
        udp("web-1", "10.96.0.11", 80),
        udp("client", "192.0.2.1", 30011),
        udp("node", "127.0.0.1", 30011),
        udp("web-1", "10.96.0.12", 80),
      ]),
      ["clock-0 10.244.0.2", "clock-0 192.0.2.1", "clock-0 192.0.2.1", "refused"],
    );
  });

  test("a pod reaches itself through its Service", () =>
    expectAll([["web-0", "10.96.0.18", 80, "web-0 169.254.1.1"]]));

  test("weights share connections, and 0 gets none", async () => {
    assert.deepEqual(await ten("client", "10.96.0.19"), { "web-1": 10 });
  });

  test("Maglev spreads clients' ports over all endpoints", async () => {
    const answering = new Set<string>();
    // All of twenty by one of the two is chance once in half a million runs; all of a hundred never.
    for (let asked = 0; asked < 100 && answering.size < 2; asked += 10) {
      for (const name of Object.keys(await ten("client", "10.96.0.20"))) answering.add(name);
    }
    assert.deepEqual([...answering].sort(), ["web-0", "web-1"]);
  });

  test("a client stays with its endpoint, moves once when that is gone, and stays again", async () => {
    const first = await ten("client", "10.96.0.30");
    const [kept = ""] = Object.keys(first);
    assert.deepEqual(first, { [kept]: 10 });
    assert.deepEqual(await ten("client", "192.0.2.1", 30030), { [kept]: 10 });
    const lost = kept === "web-0" ? pods[0] : pods[1];
    const rest = both.filter(({ address }) => address !== lost);
    change(node.compile("one", worldFrom([...services, sticky(rest)])));
    const other = kept === "web-0" ? "web-1" : "web-0";
    assert.deepEqual(await ten("client", "10.96.0.30"), { [other]: 10 });
    change(node.compile("one", world));
    assert.deepEqual(await ten("client", "10.96.0.30"), { [other]: 10 });
  });

  test("a client that never pauses is led to the new endpoint, by UDP, once the old one is forgotten", async () => {
    const sender = await Sender.start(client, "10.96.0.11", 80);
    const driver = inNetns(node.host.path, openKernelDriver);
    try {
      await sender.hears("clock-0");
      const changed = worldFrom([
        ...services.filter((yaml) => !yaml.includes("name: clock")),
        service("clock", 11, [here(pods[1])], "", { protocol: "UDP" }),
        sticky(both),
      ]);
      change(node.compile("one", changed));
      const [before, after] = [world, changed].map((each) => viewFor(each, "one"));
      assert.ok(after !== undefined);
      const isStale = staleConnections(before, after);
      assert.ok(isStale !== undefined && driver.forgetDatagrams(isStale) > 0);
      await sender.hears("clock-1");
      assert.equal(driver.forgetDatagrams(isStale), 0, "what is right stays");
    } finally {
      driver.close();
      await sender.stop();
      change(node.compile("one", world));
    }
  });

  test("IPv6 takes the same way", async () => {
    await expectAll([
      ["client", "fd00:96::10", 80, "far fd00:113::1"],
      ["node", "fd00:96::10", 80, "far fd00:113::1"],
      ["client", "fd00:51::10", 80, "far fd00:113::1"],
      ["client", "fd00:96::10", 81, "refused"],
      ["client", "fd00:96::10", 82, "refused"],
    ]);
    assert.deepEqual(await ten("client", "fd00:96::11"), { far: 10 });
  });

  function change(next: NodeState): void {
    assert.ok(state.ruleset !== undefined && next.ruleset !== undefined);
    const text = renderRulesetChange(state.ruleset, next.ruleset);
    assert.ok(text !== undefined && !text.includes("delete table"));
    nft(node.host, text);
    state = next;
  }

  /** How often each server answered ten connections. */
  async function ten(from: string, address: string, port = 80): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    const all = Array.from({ length: 10 }, () => connect(find(from), address, port, "tcp", 5));
    for (const answer of await Promise.all(all)) {
      const [server = ""] = answer.split(" ");
      counts[server] = (counts[server] ?? 0) + 1;
    }
    return counts;
  }
});

/** Sends a datagram every 20 ms from one port, and tells who answers. */
class Sender {
  readonly #process: ReturnType<typeof spawn>;
  #heard = "";

  private constructor(process: ReturnType<typeof spawn>) {
    this.#process = process;
  }

  static async start(from: Netns, address: string, port: number): Promise<Sender> {
    const program = `
      const socket = require("node:dgram").createSocket("udp4");
      socket.on("message", (text) => process.stdout.write(text));
      socket.bind(5555, () => setInterval(() => socket.send("x", ${port}, "${address}"), 20));`;
    const child = inNetns(from.path, () =>
      spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    const sender = new Sender(child);
    child.stdout.on("data", (text: Buffer) => {
      sender.#heard = text.toString();
    });
    return sender;
  }

  /** Resolves when the last answer is from `server`. */
  async hears(server: string): Promise<void> {
    const deadline = AbortSignal.timeout(10_000);
    while (!this.#heard.startsWith(server)) {
      deadline.throwIfAborted();
      await sleep(20);
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill();
    await ended;
  }
}

/** A link between the node and another host, which sends everything to the node. */
function joinRouter(
  host: Netns,
  other: Netns,
  name: string,
  [near, away]: readonly [string, string],
  [near6, away6]: readonly [string, string],
): void {
  ip(
    host,
    `link add ${name} type veth peer name eth0 netns ${other.name}
     address add ${near} dev ${name}; address add ${near6}/64 dev ${name} nodad; link set ${name} up`,
  );
  ip(
    other,
    `address add ${away} dev eth0; address add ${away6}/64 dev eth0 nodad; link set eth0 up
     route add default via ${near.split("/")[0]}; route add default via ${near6}`,
  );
}

function needsRoot(): string | false {
  return process.getuid?.() === 0 ? false : "needs root";
}
