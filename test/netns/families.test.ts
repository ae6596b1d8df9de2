/**
 * Pods of IPv4, of IPv6 and of both, on nodes that share a link and on one that does not, with each encapsulation: who
 * reaches whom, under which policy, in packets of which size.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { Resource } from "../../src/api/resource.ts";
import { type World, worldOf } from "../../src/core/registry/world.ts";
import { connect, ip, type Netns, nft, TestNetwork, TestNode } from "./dataplane-node.ts";

type Encap = "vxlan" | "direct" | "auto";

interface TestPod {
  readonly node: string;
  readonly addresses: readonly string[];
  readonly app: string;
}

const pods: Readonly<Record<string, TestPod>> = {
  "shop/web": { node: "one", addresses: ["10.244.0.1", "fd00:244::1"], app: "web" },
  "shop/cart": { node: "one", addresses: ["10.244.0.2", "fd00:244::2"], app: "cart" },
  "shop/old": { node: "two", addresses: ["10.244.0.65"], app: "web" },
  "shop/new": { node: "two", addresses: ["fd00:244::41"], app: "web" },
  "shop/both": { node: "two", addresses: ["10.244.0.66", "fd00:244::42"], app: "web" },
  "shop/stranger": { node: "two", addresses: ["10.244.0.67", "fd00:244::43"], app: "other" },
  "shop/far": { node: "three", addresses: ["10.244.0.129", "fd00:244::81"], app: "web" },
};

/** Address of each node on its link, and the gateway that leads to the other. */
const nodes: Readonly<Record<string, { readonly at: readonly string[]; readonly mtu: number }>> = {
  one: { at: ["192.0.2.1", "2001:db8:1::1"], mtu: 1500 },
  two: { at: ["192.0.2.2", "2001:db8:1::2"], mtu: 1500 },
  three: { at: ["198.51.100.3", "2001:db8:2::3"], mtu: 1400 },
};

function worldFor(encap: Encap, names: readonly string[]): World {
  const documents = [
    `
apiVersion: heddle.dev/v1
kind: Network
metadata: { name: default }
spec: { podCidr: 10.244.0.0/16, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: ${encap} }
---
apiVersion: heddle.dev/v1
kind: AddressPool
metadata: { name: six }
spec: { cidr: "fd00:244::/64" }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: cart }
spec:
  podSelector: { matchLabels: { app: cart } }
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: web } } }]
      ports: [{ port: 8080 }]
    - from: [{ ipBlock: { cidr: "2001:db8:1::/64", except: ["2001:db8:1::99/128"] } }]
      ports: [{ port: 8080 }]
    - from: [{ ipBlock: { cidr: "::/0", except: ["2001:db8::/32", "fd00::/8"] } }]
  egress:
    - to: [{ podSelector: { matchLabels: { app: web } } }]
      ports: [{ port: 8080 }]
`,
    ...names.map(
      (name, index) => `
apiVersion: v1
kind: Node
metadata:
  name: ${name}
  annotations:
    heddle.dev/underlay: "${nodes[name]?.at.map((each) => `${each}/${each.includes(":") ? 64 : 24}`)}"
    heddle.dev/underlay-mtu: "${nodes[name]?.mtu}"
status: { addresses: [${nodes[name]?.at.map((each) => `{ type: InternalIP, address: "${each}" }`)}] }
---
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: four-${name} }
spec: { cidr: 10.244.0.${64 * index}/26, node: ${name} }
---
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: six-${name} }
spec: { cidr: "fd00:244::${(64 * index).toString(16)}/122", node: ${name} }
`,
    ),
    ...Object.entries(pods)
      .filter(([, { node }]) => names.includes(node))
      .map(([name, { node, addresses, app }]) => {
        const [namespace, short] = name.split("/");
        return `
apiVersion: v1
kind: Pod
metadata: { namespace: ${namespace}, name: ${short}, uid: ${short}, labels: { app: ${app} } }
spec: { nodeName: ${node}, containers: [{ name: main, image: any }] }
status: { phase: Running, podIP: "${addresses[0]}", podIPs: [${addresses.map((each) => `{ ip: "${each}" }`)}] }
`;
      }),
  ];
  return worldOf(
    parseAllDocuments(documents.join("---")).map((document) => document.toJS() as Resource),
  );
}

/** Nodes one and two on a link, three on another, a router between, and a machine outside beside one and two. */
class Site implements AsyncDisposable {
  readonly network = new TestNetwork();
  readonly #nodes = new Map<string, TestNode>();
  readonly outside: Netns;
  readonly router: Netns;

  constructor(encap: Encap, names: readonly string[]) {
    const world = worldFor(encap, names);
    this.router = this.network.netns();
    this.outside = this.network.netns();
    ip(this.router, "link add near type bridge; link set near up");
    ip(
      this.router,
      "address add 192.0.2.254/24 dev near; address add 2001:db8:1::fe/64 dev near nodad",
    );
    this.#plug(this.outside, "outside", ["192.0.2.99", "2001:db8:1::99"], 1500);
    for (const name of names) {
      const node = new TestNode(this.network, name, world);
      this.#nodes.set(name, node);
      this.#plug(node.host, name, nodes[name]?.at ?? [], nodes[name]?.mtu ?? 1500);
      node.realise(node.compile(name, world));
    }
    this.network.sysctl(this.router, "net/ipv4/ip_forward", "1");
    this.network.sysctl(this.router, "net/ipv6/conf/all/forwarding", "1");
  }

  #plug(host: Netns, name: string, addresses: readonly string[], mtu: number): void {
    const far = addresses[0]?.startsWith("198.") === true;
    ip(
      this.router,
      `link add to-${name} mtu ${mtu} type veth peer name up0 mtu ${mtu} netns ${host.name}`,
    );
    ip(
      this.router,
      far
        ? `address add 198.51.100.254/24 dev to-${name}; address add 2001:db8:2::fe/64 dev to-${name} nodad; link set to-${name} up`
        : `link set to-${name} master near up`,
    );
    ip(
      host,
      [
        ...addresses.map(
          (each) =>
            `address add ${each}${each.includes(":") ? "/64" : "/24"} dev up0${each.includes(":") ? " nodad" : ""}`,
        ),
        "link set up0 up",
        `route add default via ${far ? "198.51.100.254" : "192.0.2.254"}`,
        `route add default via ${far ? "2001:db8:2::fe" : "2001:db8:1::fe"}`,
      ].join("\n"),
    );
  }

  async serve(): Promise<void> {
    for (const [name, { node }] of Object.entries(pods)) {
      const there = this.#nodes.get(node);
      if (there === undefined) continue;
      await this.network.serve(there.pod(name), 8080, name);
      await this.network.serve(there.pod(name), 9090, name);
    }
    await this.network.serve(this.outside, 8080, "outside");
  }

  at(name: string): Netns {
    if (name === "outside") return this.outside;
    const node = this.#nodes.get(pods[name]?.node ?? name);
    assert.ok(node !== undefined);
    return pods[name] === undefined ? node.host : node.pod(name);
  }

  /** from, to, port, and the answer: whom it reached from where, or how it ended. */
  async expectAll(rows: readonly (readonly [string, string, number, string])[]): Promise<void> {
    const found = await Promise.all(
      rows.map(async ([from, to, port, wanted]) => {
        const patience = wanted === "timeout" ? 0.6 : 5;
        const answer = await connect(this.at(from), to, port, "tcp", patience);
        return [from, to, port, answer];
      }),
    );
    assert.deepEqual(found, rows);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.network[Symbol.asyncDispose]();
  }
}

for (const encap of ["vxlan", "direct", "auto"] as const) {
  // Nodes must share a link to be each other's next hop.
  const names = encap === "direct" ? ["one", "two"] : ["one", "two", "three"];

  describe(`pods of both families, ${encap} between nodes`, { skip: needsRoot() }, () => {
    let site: Site;

    before(async () => {
      site = new Site(encap, names);
      await site.serve();
    });
    after(() => site[Symbol.asyncDispose]());

    test("reach each other by every address that both have a family of, as themselves", () =>
      site.expectAll([
        ["shop/web", "10.244.0.2", 8080, "shop/cart 10.244.0.1"],
        ["shop/web", "fd00:244::2", 8080, "shop/cart fd00:244::1"],
        ["shop/web", "10.244.0.65", 9090, "shop/old 10.244.0.1"],
        ["shop/web", "10.244.0.66", 9090, "shop/both 10.244.0.1"],
        ["shop/web", "fd00:244::41", 9090, "shop/new fd00:244::1"],
        ["shop/web", "fd00:244::42", 9090, "shop/both fd00:244::1"],
        ["shop/new", "fd00:244::1", 9090, "shop/web fd00:244::41"],
        ["shop/old", "10.244.0.1", 9090, "shop/web 10.244.0.65"],
      ]));

    test("are held to policy in both, by identity and by block", () =>
      site.expectAll([
        ["shop/both", "10.244.0.2", 8080, "shop/cart 10.244.0.66"],
        ["shop/both", "fd00:244::2", 8080, "shop/cart fd00:244::42"],
        ["shop/new", "fd00:244::2", 8080, "shop/cart fd00:244::41"],
        ["shop/both", "10.244.0.2", 9090, "timeout"],
        ["shop/both", "fd00:244::2", 9090, "timeout"],
        ["shop/stranger", "10.244.0.2", 8080, "timeout"],
        ["shop/stranger", "fd00:244::2", 8080, "timeout"],
        ["shop/cart", "fd00:244::42", 8080, "shop/both fd00:244::2"],
        ["shop/cart", "fd00:244::42", 9090, "timeout"],
        ["shop/cart", "fd00:244::43", 8080, "timeout"],
        ["shop/cart", "10.244.0.67", 8080, "timeout"],
        ["shop/cart", "2001:db8:1::99", 8080, "timeout"],
      ]));

    test("leave for outside with their node's address", () =>
      site.expectAll([
        ["shop/web", "192.0.2.99", 8080, "outside 192.0.2.1"],
        ["shop/web", "2001:db8:1::99", 8080, "outside 2001:db8:1::1"],
        ["shop/new", "2001:db8:1::99", 8080, "outside 2001:db8:1::2"],
      ]));

    test("are reached by their node and by other nodes", () =>
      site.expectAll([
        ["one", "10.244.0.2", 9090, "shop/cart 169.254.1.1"],
        ["one", "10.244.0.66", 9090, "shop/both 192.0.2.1"],
        ["one", "fd00:244::42", 9090, "shop/both 2001:db8:1::1"],
      ]));

    test("take packets of the size that the way leaves, and not one byte more", async () => {
      const size = encap === "direct" ? 1500 : 1450;
      assert.equal(await pings(site.at("shop/web"), "10.244.0.66", size - 28), true);
      assert.equal(await pings(site.at("shop/web"), "10.244.0.66", size - 27), false);
      assert.equal(await pings(site.at("shop/web"), "fd00:244::42", size - 48), true);
      assert.equal(await pings(site.at("shop/web"), "fd00:244::42", size - 47), false);
    });

    test("cannot send under another's address, nor without one", async () => {
      const cart = site.at("shop/cart");
      ip(cart, "address add fd00:244::1/128 dev eth0 nodad");
      try {
        assert.equal(await pings(cart, "fd00:244::42", 8, "fd00:244::1"), false);
        assert.equal(await pings(cart, "fd00:244::2", 8), true);
      } finally {
        ip(cart, "address delete fd00:244::1/128 dev eth0");
      }
    });

    if (encap === "direct") return;

    test("find each other across links, as themselves and within the smaller size", async () => {
      await site.expectAll([
        ["shop/web", "10.244.0.129", 8080, "shop/far 10.244.0.1"],
        ["shop/web", "fd00:244::81", 8080, "shop/far fd00:244::1"],
        ["shop/far", "fd00:244::2", 8080, "shop/cart fd00:244::81"],
        ["shop/far", "10.244.0.2", 9090, "timeout"],
      ]);
      assert.equal(await pings(site.at("shop/web"), "10.244.0.129", 1350 - 28), true);
      assert.equal(await pings(site.at("shop/web"), "10.244.0.129", 1350 - 27), false);
      assert.equal(await pings(site.at("shop/web"), "fd00:244::81", 1350 - 48), true);
      assert.equal(await pings(site.at("shop/web"), "fd00:244::81", 1350 - 47), false);
    });

    test("agree on TCP segments that fit, also where no ICMP comes through", async () => {
      const far = site.at("shop/far");
      nft(
        far,
        `table inet blind {
          chain in {
            type filter hook input priority 0
            icmp type destination-unreachable drop
            icmpv6 type packet-too-big drop
          }
        }`,
      );
      for (const address of ["10.244.0.1", "fd00:244::1"]) {
        assert.equal(
          await segmentSize(site, far, address),
          1350 - (address.includes(":") ? 60 : 40),
        );
      }
    });
  });
}

/** Whether one echo of that many bytes, never fragmented, comes back. */
async function pings(from: Netns, to: string, bytes: number, source?: string): Promise<boolean> {
  const as = source === undefined ? [] : ["-I", source];
  const words = ["-c1", "-W1", "-M", "do", ...as, "-s", `${bytes}`, to];
  const child = execFile("ip", ["netns", "exec", from.name, "ping", ...words]);
  const [code] = (await once(child, "close")) as [number];
  return code === 0;
}

/** What the SYN of a connection says when it arrives: the sender's largest segment, as the way has left it. */
async function segmentSize(site: Site, from: Netns, to: string): Promise<number> {
  const filter = "tcp[tcpflags] & tcp-syn != 0 or (ip6 and ip6[6] == 6 and ip6[53] & 2 != 0)";
  const at = site.at("shop/web");
  const words = ["netns", "exec", at.name, "tcpdump", "-nvlc1", "-i", "eth0", filter];
  const child = execFile("ip", words);
  const output: string[] = [];
  child.stdout?.on("data", (text: string) => output.push(text));
  await new Promise<void>((resolve) => {
    child.stderr?.on("data", (text: string) => {
      if (text.includes("listening")) resolve();
    });
  });
  assert.match(await connect(from, to, 8080, "tcp", 5), /^shop\/web /);
  await once(child, "close");
  return Number(/mss (\d+)/.exec(output.join(""))?.[1]);
}

function needsRoot(): string | false {
  return process.getuid?.() === 0 ? false : "needs root";
}
