/**
 * Two nodes with a pod or three each, brought to what a world says by our own driver, as an agent does: what the tests of
 * the fast path send packets through. A table of the test's own counts what netfilter still sees.
 */

import { execFileSync } from "node:child_process";
import { parseAllDocuments } from "yaml";
import type { Resource } from "../../src/api/resource.ts";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { planNode } from "../../src/core/dataplane/plan-node.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { type World, worldOf } from "../../src/core/registry/world.ts";
import type { KernelDriver } from "../../src/kernel/driver.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { NodeState } from "../../src/model/node-state.ts";
import type { Attachment } from "../../src/model/node-view.ts";
import { ip, type Netns, nft, type TestNetwork, TestNode } from "./dataplane-node.ts";

/** Where every pod that serves listens. */
export const port = 8080;

export type PodName = "client" | "stranger" | "neighbour" | "server";

/** Addresses of both families; the server is on the other node. */
export const at: Readonly<Record<PodName, readonly [string, string]>> = {
  client: ["10.244.0.1", "fd00:244::1"],
  stranger: ["10.244.0.2", "fd00:244::2"],
  neighbour: ["10.244.0.3", "fd00:244::3"],
  server: ["10.244.0.65", "fd00:244::41"],
};

/** The server answers the client alone, at that port and the next nine. */
export const isolated: string = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: server }
spec:
  podSelector: { matchLabels: { app: server } }
  ingress: [{ from: [{ podSelector: { matchLabels: { app: client } } }], ports: [{ port: ${port}, endPort: ${port + 9} }] }]
`;
/** Nobody may open a connection. */
export const closed: string = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: server }
spec: { podSelector: {}, policyTypes: [Ingress, Egress] }
`;

const usualNodes = ["192.0.2.1", "192.0.2.2"] as const;

export function worldWith(
  policy: string,
  [one, two]: readonly [string, string] = usualNodes,
): World {
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
    nodeYaml("one", one, ["10.244.0.0/26", "fd00:244::/122"]),
    nodeYaml("two", two, ["10.244.0.64/26", "fd00:244::40/122"]),
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
status: { addresses: [{ type: InternalIP, address: "${address}" }] }`;
  return [node, ...blocks].join("\n---");
}

function podYaml(name: PodName, node: string): string {
  const addresses = at[name].map((each) => `{ ip: "${each}" }`);
  return `
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: ${name}, uid: ${name}, labels: { app: ${name} } }
spec: { nodeName: ${node}, containers: [] }
status: { phase: Running, podIP: ${at[name][0]}, podIPs: [${addresses}] }`;
}

/** A node whose kernel is brought to what the world says by our own driver, as an agent does. */
export class DrivenNode {
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

  linkOf(pod: PodName): string {
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

export interface TwoNodes {
  readonly one: DrivenNode;
  readonly two: DrivenNode;
  readonly pods: Readonly<Record<PodName, Netns>>;
}

export function twoNodes(network: TestNetwork): TwoNodes {
  const world = worldWith(isolated);
  const here = new TestNode(network, "one", world);
  const there = new TestNode(network, "two", world);
  ip(here.host, `link add uplink type veth peer name uplink netns ${there.host.name}`);
  ip(here.host, "address add 192.0.2.1/24 dev uplink; link set uplink up");
  ip(there.host, "address add 192.0.2.2/24 dev uplink; link set uplink up");
  for (const { host } of [here, there]) nft(host, watch);
  return {
    one: new DrivenNode("one", here),
    two: new DrivenNode("two", there),
    pods: {
      client: here.pod("shop/client"),
      stranger: here.pod("shop/stranger"),
      neighbour: here.pod("shop/neighbour"),
      server: there.pod("shop/server"),
    },
  };
}
