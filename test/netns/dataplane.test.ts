/** Compiled rulesets in a running kernel, with real packets: the verdicts that people's manifests promise. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { Resource } from "../../src/api/resource.ts";
import { renderRulesetChange } from "../../src/core/dataplane/ruleset-change.ts";
import { applyToWorld, type World, worldOf } from "../../src/core/registry/world.ts";
import { connect, ip, type Netns, nft, TestNetwork, TestNode } from "./dataplane-node.ts";

function worldFrom(yaml: string): World {
  return worldOf(parseAllDocuments(yaml).map((document) => document.toJS() as Resource));
}

function pod(name: string, node: string, address: string, labels: string): string {
  const [namespace, short] = name.split("/");
  return `---
apiVersion: v1
kind: Pod
metadata: { namespace: ${namespace}, name: ${short}, uid: ${short}, labels: { ${labels} } }
spec:
  nodeName: ${node}
  containers: [{ name: main, image: any, ports: [{ name: main, containerPort: 8080 }] }]
status: { phase: Running, podIP: ${address}, conditions: [{ type: Ready, status: "True" }] }
`;
}

function service(name: string, address: string, endpoints: readonly string[]): string {
  return `---
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: ${name} }
spec: { clusterIP: ${address}, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: shop, name: ${name}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: "", protocol: TCP, port: 8080 }]
endpoints: [${endpoints.map((each) => `{ addresses: [${each}] }`).join(", ")}]
`;
}

function udpService(name: string, address: string, endpoint: string): string {
  return service(name, address, [endpoint])
    .replaceAll(/port: 80\b/g, "port: 53, protocol: UDP")
    .replace("protocol: TCP, port: 8080", "protocol: UDP, port: 8080");
}

const nodes = `---
apiVersion: v1
kind: Node
metadata: { name: one }
status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] }
---
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: 10.244.0.0-26 }
spec: { cidr: 10.244.0.0/26, node: one }
---
apiVersion: v1
kind: Node
metadata: { name: two }
status: { addresses: [{ type: InternalIP, address: 192.0.2.2 }] }
---
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: 10.244.0.64-26 }
spec: { cidr: 10.244.0.64/26, node: two }
`;

const policies = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: cart }
spec:
  podSelector: { matchLabels: { app: cart } }
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: web } } }]
      ports: [{ port: main }]
    - from: [{ ipBlock: { cidr: 192.0.2.0/24, except: [192.0.2.3/32] } }]
      ports: [{ port: 8080 }]
  egress:
    - to: [{ podSelector: { matchLabels: { app: web } } }]
    - to: [{ namespaceSelector: {}, podSelector: { matchLabels: { k8s-app: kube-dns } } }]
      ports: [{ protocol: UDP, port: 53 }, { protocol: TCP, port: 53 }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: batch }
spec:
  podSelector: { matchLabels: { app: batch } }
  policyTypes: [Egress]
`;

const objects = [
  nodes,
  policies,
  pod("shop/web-1", "one", "10.244.0.0", "app: web"),
  pod("shop/web-2", "one", "10.244.0.1", "app: web"),
  pod("shop/cart", "one", "10.244.0.2", "app: cart"),
  pod("shop/batch", "one", "10.244.0.3", "app: batch"),
  pod("other/stranger", "one", "10.244.0.63", "app: web"),
  pod("shop/web-3", "two", "10.244.0.64", "app: web"),
  service("web", "10.96.0.10", ["10.244.0.0", "10.244.0.1"]),
  service("cart", "10.96.0.11", ["10.244.0.2"]),
  service("gone", "10.96.0.12", []),
  udpService("clock", "10.96.0.14", "10.244.0.1"),
  service("far", "10.96.0.13", ["10.244.0.64"]),
].join("\n");

const addresses: Readonly<Record<string, string>> = {
  "shop/web-1": "10.244.0.0",
  "shop/web-2": "10.244.0.1",
  "shop/cart": "10.244.0.2",
  "shop/batch": "10.244.0.3",
  "other/stranger": "10.244.0.63",
  "shop/web-3": "10.244.0.64",
};

describe("a node's compiled ruleset in the kernel", { skip: needsRoot() }, () => {
  const network = new TestNetwork();
  const world = worldFrom(objects);
  let one: TestNode;
  let two: TestNode;
  let outside: Netns;
  let visitor: Netns;

  before(async () => {
    one = new TestNode(network, "one", world);
    two = new TestNode(network, "two", world);
    outside = network.netns();
    visitor = network.netns();
    joinUnderlay(network.netns(), [
      [one.host, "192.0.2.1"],
      [two.host, "192.0.2.2"],
      [visitor, "192.0.2.3"],
      [outside, "192.0.2.4"],
    ]);
    for (const netns of [outside, visitor]) {
      ip(netns, "route add 10.244.0.0/16 via 192.0.2.1; route add 10.96.0.0/16 via 192.0.2.1");
    }
    // As on any host: without a default route the kernel refuses a Service address before any rule is asked.
    ip(one.host, "route add default via 192.0.2.4");
    one.realise(one.compile("one", world));
    two.realise(two.compile("two", world));
    for (const name of Object.keys(addresses)) {
      const node = name === "shop/web-3" ? two : one;
      await network.serve(node.pod(name), 8080, name);
      await network.serve(node.pod(name), 9090, name);
    }
    await network.serve(one.host, 53, "dns");
    await network.serve(one.host, 7000, "node");
    await network.serveUdp(one.host, 53, "dns");
    await network.serveUdp(one.pod("shop/web-2"), 8080, "clock");
    await network.serve(outside, 8080, "outside");
  });

  after(() => network[Symbol.asyncDispose]());

  const find = (name: string): Netns => {
    if (name === "outside") return outside;
    if (name === "visitor") return visitor;
    if (name === "node") return one.host;
    return name === "shop/web-3" ? two.pod(name) : one.pod(name);
  };

  /** from, to (pod or address), port, and the answer: whom it reached, `refused` or `timeout`. */
  async function expectAll(rows: readonly (readonly [string, string, number, string])[]) {
    const found = await Promise.all(
      rows.map(async ([from, to, port, wanted]) => {
        const patience = wanted === "timeout" ? 0.6 : 5;
        const answer = await connect(find(from), addresses[to] ?? to, port, "tcp", patience);
        return [from, to, port, answer];
      }),
    );
    assert.deepEqual(found, rows);
  }

  test("lets pods reach each other where no policy isolates them, with their own addresses", () =>
    expectAll([
      ["shop/web-1", "shop/web-2", 8080, "shop/web-2 10.244.0.0"],
      ["other/stranger", "shop/web-1", 9090, "shop/web-1 10.244.0.63"],
      ["shop/web-1", "other/stranger", 8080, "other/stranger 10.244.0.0"],
    ]));

  test("admits to an isolated pod exactly the peers and ports of its ingress rules", () =>
    expectAll([
      ["shop/web-1", "shop/cart", 8080, "shop/cart 10.244.0.0"],
      ["shop/web-1", "shop/cart", 9090, "timeout"],
      ["other/stranger", "shop/cart", 8080, "timeout"],
      ["outside", "shop/cart", 8080, "shop/cart 192.0.2.4"],
      ["outside", "shop/cart", 9090, "timeout"],
      ["visitor", "shop/cart", 8080, "timeout"],
      ["visitor", "shop/web-1", 8080, "shop/web-1 192.0.2.3"],
    ]));

  test("lets an isolated pod send exactly where its egress rules lead, on this node and beyond", () =>
    expectAll([
      ["shop/cart", "shop/web-2", 9090, "shop/web-2 10.244.0.2"],
      ["shop/cart", "shop/web-3", 9090, "shop/web-3 10.244.0.2"],
      ["shop/cart", "other/stranger", 8080, "timeout"],
      ["shop/cart", "192.0.2.4", 8080, "timeout"],
      ["shop/batch", "shop/web-1", 8080, "timeout"],
      ["shop/batch", "shop/cart", 8080, "timeout"],
      ["shop/batch", "192.0.2.4", 8080, "timeout"],
    ]));

  test("asks a pod's egress policy also for the node itself, where the DNS server is a peer like any", () =>
    expectAll([
      ["shop/web-1", "169.254.1.1", 53, "dns 10.244.0.0"],
      ["shop/cart", "169.254.1.1", 53, "dns 10.244.0.2"],
      ["shop/cart", "169.254.1.1", 7000, "timeout"],
      ["shop/cart", "192.0.2.1", 7000, "timeout"],
      ["shop/batch", "169.254.1.1", 53, "timeout"],
      ["shop/web-1", "192.0.2.1", 7000, "node 10.244.0.0"],
    ]));

  test("always lets the node reach its own pods", () =>
    expectAll([
      ["node", "shop/cart", 9090, "shop/cart 169.254.1.1"],
      ["node", "shop/web-3", 8080, "shop/web-3 192.0.2.1"],
    ]));

  test("hides pods behind the node's address towards outside", () =>
    expectAll([["shop/web-1", "192.0.2.4", 8080, "outside 192.0.2.1"]]));

  test("carries packets between nodes over the overlay, with the pods' own addresses", () =>
    expectAll([
      ["shop/web-1", "shop/web-3", 8080, "shop/web-3 10.244.0.0"],
      ["shop/web-3", "shop/web-1", 8080, "shop/web-1 10.244.0.64"],
      ["shop/web-3", "shop/cart", 8080, "shop/cart 10.244.0.64"],
      ["shop/web-3", "shop/cart", 9090, "timeout"],
    ]));

  test("turns a Service's address into an endpoint's, for pods, the node and outside", () =>
    expectAll([
      ["shop/web-1", "10.96.0.11", 80, "shop/cart 10.244.0.0"],
      ["shop/web-1", "10.96.0.13", 80, "shop/web-3 10.244.0.0"],
      ["node", "10.96.0.11", 80, "shop/cart 192.0.2.1"],
      ["node", "10.96.0.13", 80, "shop/web-3 192.0.2.1"],
      ["outside", "10.96.0.13", 80, "shop/web-3 192.0.2.1"],
    ]));

  test("judges a connection to a Service by the endpoint behind it", () =>
    expectAll([
      ["other/stranger", "10.96.0.11", 80, "timeout"],
      ["shop/cart", "10.96.0.13", 80, "shop/web-3 10.244.0.2"],
      ["shop/batch", "10.96.0.13", 80, "timeout"],
    ]));

  test("treats UDP like TCP: policy, Services and their absence", async () => {
    const udp = (from: string, address: string, port: number, patience = 0.6) =>
      connect(find(from), address, port, "udp", patience);
    assert.deepEqual(
      await Promise.all([
        udp("shop/web-1", "10.96.0.14", 53, 5),
        udp("node", "10.96.0.14", 53, 5),
        udp("shop/cart", "169.254.1.1", 53, 5),
        udp("shop/batch", "169.254.1.1", 53),
        udp("shop/batch", "10.96.0.14", 53),
        udp("shop/web-1", "10.96.0.12", 80, 5),
      ]),
      ["clock 10.244.0.0", "clock 192.0.2.1", "dns 10.244.0.2", "timeout", "timeout", "refused"],
    );
  });

  test("keeps silent, so that resolvers ask again, while no name server listens", async () => {
    const udp = (port: number, patience: number) =>
      connect(find("shop/web-3"), "169.254.1.1", port, "udp", patience);
    assert.deepEqual(await Promise.all([udp(53, 0.6), udp(54, 5)]), ["timeout", "refused"]);
  });

  test("balances a Service over all of its endpoints", async () => {
    const answers = new Set<string>();
    // Ten at once: a busy machine cannot start forty shells in the time that an answer may take.
    for (let round = 0; round < 4; round++) {
      const ten = Array.from({ length: 10 }, () =>
        connect(find("shop/cart"), "10.96.0.10", 80, "tcp", 5),
      );
      for (const answer of await Promise.all(ten)) answers.add(answer);
    }
    // 40 fair coins fall on one side only once in 5·10^11 runs.
    assert.deepEqual([...answers].sort(), ["shop/web-1 10.244.0.2", "shop/web-2 10.244.0.2"]);
  });

  test("lets a pod reach itself through its Service, isolated or not", () =>
    expectAll([["shop/cart", "10.96.0.11", 80, "shop/cart 169.254.1.1"]]));

  test("refuses at once what is addressed to a Service without endpoints, and drops what no Service has", () =>
    expectAll([
      ["shop/web-1", "10.96.0.12", 80, "refused"],
      ["shop/web-1", "10.96.0.10", 81, "refused"],
      ["shop/web-1", "10.96.0.200", 80, "timeout"],
      ["node", "10.96.0.12", 80, "refused"],
      ["outside", "10.96.0.12", 80, "refused"],
    ]));

  test("drops what a pod sends under an address that is not its own", async () => {
    const cart = one.pod("shop/cart");
    ip(cart, "address add 10.244.0.0/32 dev eth0");
    ip(cart, "route replace default via 169.254.1.1 dev eth0 onlink src 10.244.0.0");
    try {
      assert.equal(await connect(cart, "10.244.0.64", 8080), "timeout");
      assert.equal(await connect(cart, "169.254.1.1", 53), "timeout");
    } finally {
      ip(cart, "route replace default via 169.254.1.1 dev eth0 onlink src 10.244.0.2");
      ip(cart, "address delete 10.244.0.0/32 dev eth0");
    }
    assert.equal(await connect(cart, "10.244.0.64", 8080, "tcp", 5), "shop/web-3 10.244.0.2");
  });

  test("drops what comes from or goes to a link of ours that belongs to no attached pod", async () => {
    const intruder = network.netns();
    ip(
      one.host,
      `link add hdffffffffff type veth peer name eth0 netns ${intruder.name}
       link set hdffffffffff up; route add 10.244.0.40/32 dev hdffffffffff`,
    );
    ip(
      intruder,
      `address add 10.244.0.40/32 dev eth0; link set eth0 up
       route add default via 169.254.1.1 dev eth0 onlink`,
    );
    await network.serve(intruder, 8080, "intruder");
    assert.deepEqual(
      await Promise.all([
        connect(intruder, "10.244.0.0", 8080),
        connect(intruder, "169.254.1.1", 53),
        connect(intruder, "10.96.0.10", 80),
        connect(find("shop/web-1"), "10.244.0.40", 8080),
        connect(outside, "10.244.0.40", 8080),
      ]),
      ["timeout", "timeout", "timeout", "timeout", "timeout"],
    );
    ip(one.host, "link delete hdffffffffff");
  });

  test("isolates an attached pod that the server does not know", async () => {
    const known = one.compile("one", world);
    const without = applyToWorld(world, [
      {
        type: "deleted",
        version: world.version + 1,
        object: { apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name: "web-2" } },
      },
    ]);
    const unknown = one.compile("one", without);
    change(one.host, known, unknown);
    await expectAll([
      ["shop/web-2", "shop/web-1", 8080, "timeout"],
      ["shop/web-1", "shop/web-2", 8080, "timeout"],
      ["shop/web-2", "169.254.1.1", 53, "timeout"],
      ["node", "shop/web-2", 8080, "shop/web-2 169.254.1.1"],
    ]);
    change(one.host, unknown, known);
    await expectAll([["shop/web-2", "shop/web-1", 8080, "shop/web-1 10.244.0.1"]]);
  });
});

function change(host: Netns, from: ReturnType<TestNode["compile"]>, to: typeof from): void {
  assert.ok(from.ruleset !== undefined && to.ruleset !== undefined);
  const text = renderRulesetChange(from.ruleset, to.ruleset);
  assert.ok(text !== undefined && !text.includes("delete table"));
  nft(host, text);
}

/** One wire: a bridge in a namespace of its own. */
function joinUnderlay(wire: Netns, hosts: readonly (readonly [Netns, string])[]): void {
  ip(wire, "link add wire type bridge; link set wire up");
  hosts.forEach(([host, address], index) => {
    ip(wire, `link add port${index} type veth peer name up0 netns ${host.name}`);
    ip(wire, `link set port${index} master wire up`);
    ip(host, `address add ${address}/24 dev up0; link set up0 up`);
  });
}

function needsRoot(): string | false {
  return process.getuid?.() === 0 ? false : "needs root";
}
