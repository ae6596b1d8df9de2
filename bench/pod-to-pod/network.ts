/**
 * Two pods on two nodes, joined in three ways: by Heddle, and twice by hand.
 *
 *                 ┌ eth0 ─ node one ═ hdvxlan ═ node two ─ eth0 ┐
 *     pod client ─┼ eth1 ─ bare one ══ overlay ══ bare two ─ eth1 ┼─ pod server
 *                 └ eth2 ─ with a firewall of one rule ─ eth2 ────┘
 *
 * All ways are the same links and routes: a veth pair into a namespace that forwards, a VXLAN device without learning
 * over a veth pair, and the same at the other end. Heddle's has its whole table in both nodes: policies for both pods,
 * other pods, and a thousand Services. The first by hand has no table at all, and so no connection tracking; the second
 * has the least that makes a kernel track connections, a rule that lets established ones pass.
 */

import { execFileSync } from "node:child_process";
import type { AddressBlock } from "../../src/api/heddle/v1.ts";
import type { Node, Pod } from "../../src/api/k8s/core.ts";
import type { NetworkPolicy, NetworkPolicyPeer } from "../../src/api/k8s/network-policy.ts";
import type { Resource } from "../../src/api/resource.ts";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { worldOf } from "../../src/core/registry/world.ts";
import { programsOn } from "../../src/kernel/bpf/attach.ts";
import { missingBpf } from "../../src/kernel/features.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { NodeState } from "../../src/model/node-state.ts";
import {
  ip,
  type Netns,
  nft,
  type TestNetwork,
  TestNode,
} from "../../test/netns/dataplane-node.ts";
import { linksJson } from "../../test/netns/kernel-scratch.ts";
import { manyServices } from "../service-views.ts";

const otherServices = 1_000;
const otherPods = 200;

export interface Ways {
  readonly client: Netns;
  readonly server: Netns;
  /** The server's address by Heddle, and by hand. */
  readonly heddle: string;
  readonly byHand: string;
  /** By hand, with connections tracked. */
  readonly tracked: string;
}

/** The pods' link, the first half of all its addresses, and what is loaded where it forwards. */
type ByHand = { readonly link: string; readonly network: string; readonly table?: string };

export function joinInAllWays(network: TestNetwork): Ways {
  const world = worldOf(objects);
  const one = new TestNode(network, "one", world);
  const two = new TestNode(network, "two", world);
  underlay(one.host, "192.0.2.1", two.host, "192.0.2.2");
  for (const [name, node] of [
    ["one", one],
    ["two", two],
  ] as const) {
    const services = manyServices(otherServices);
    const view = { ...viewFor(world, name), services };
    const features = { vxlan: true, nftables: true, fastPath: true };
    const state = compileNode(view, node.attachments, features).value;
    node.realise(state);
    requireFastPath(node, state);
  }
  const [client, server] = [one.pod("bench/client"), two.pod("bench/server")];
  const join = (way: ByHand) => joinByHand(network, client, server, way);
  return {
    client,
    server,
    heddle: addresses.server,
    byHand: join({ link: "eth1", network: "198.18" }),
    tracked: join({ link: "eth2", network: "198.19", table: leastFirewall }),
  };
}

/** A figure of the plain path must not pass for one of the fast path. */
function requireFastPath({ host }: TestNode, { fastPath = [] }: NodeState): void {
  const impossible = missingBpf();
  if (impossible !== undefined) throw new Error(`bench pod-to-pod: no fast path: ${impossible}`);
  const indexes = new Map(linksJson(host.path).map((each) => [each.ifname, each.ifindex]));
  for (const link of [...fastPath.map((each) => each.link), "uplink"]) {
    const hook = { linkIndex: indexes.get(link) ?? 0, direction: "ingress" } as const;
    if (inNetns(host.path, () => programsOn(hook)).length > 0) continue;
    const where = `${link} in ${host.name}`;
    throw new Error(`bench pod-to-pod: no fast path on ${where}: was it compiled at set-up?`);
  }
}

const leastFirewall = `table inet firewall {
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established accept
  }
}`;

const addresses = { client: "10.244.0.1", server: "10.244.0.65" };

function underlay(one: Netns, oneAddress: string, two: Netns, twoAddress: string): void {
  ip(one, `link add uplink type veth peer name uplink netns ${two.name}`);
  for (const [netns, address] of [
    [one, oneAddress],
    [two, twoAddress],
  ] as const) {
    ip(netns, `address add ${address}/24 dev uplink; link set uplink up`);
  }
}

/** Answers the server's address. */
function joinByHand(
  network: TestNetwork,
  client: Netns,
  server: Netns,
  { link, network: prefix, table }: ByHand,
): string {
  const ends = [
    { bare: network.netns(), pod: client, number: 1, other: 2 },
    { bare: network.netns(), pod: server, number: 2, other: 1 },
  ] as const;
  underlay(ends[0].bare, "192.0.2.1", ends[1].bare, "192.0.2.2");
  for (const { bare, pod, number, other } of ends) {
    if (table !== undefined) nft(bare, table);
    network.sysctl(bare, "net/ipv4/ip_forward", "1");
    ip(bare, `link add pod mtu 1450 type veth peer name ${link} netns ${pod.name}`);
    ip(pod, `address add ${prefix}.${number}.2/24 dev ${link}; link set ${link} up`);
    ip(
      bare,
      `address add ${prefix}.${number}.1/24 dev pod; link set pod up
       link add overlay address 02:00:00:00:00:0${number} mtu 1450 type vxlan id 7 dstport 4789 local 192.0.2.${number} nolearning
       address add ${prefix}.0.${number}/32 dev overlay; link set overlay up
       neigh replace ${prefix}.0.${other} lladdr 02:00:00:00:00:0${other} dev overlay
       route add ${prefix}.${other}.0/24 via ${prefix}.0.${other} dev overlay onlink`,
    );
    bridgeTo(bare, `02:00:00:00:00:0${other}`, `192.0.2.${other}`);
    ip(pod, `route add ${prefix}.${other}.0/24 via ${prefix}.${number}.1 dev ${link}`);
  }
  return `${prefix}.2.2`;
}

function bridgeTo(netns: Netns, mac: string, remote: string): void {
  execFileSync("bridge", [
    ...["-n", netns.name, "fdb", "append", mac],
    ...["dev", "overlay", "dst", remote, "self", "permanent"],
  ]);
}

const objects: readonly Resource[] = [
  ...nodeObjects("one", "192.0.2.1", "10.244.0.0/26"),
  ...nodeObjects("two", "192.0.2.2", "10.244.0.64/26"),
  podOf("client", "one", addresses.client),
  podOf("server", "two", addresses.server),
  // Known to both nodes and attached to neither: identities and addresses for the maps.
  ...Array.from({ length: otherPods }, (_, i) => podOf(`other-${i}`, "three", `10.244.1.${i}`)),
  policyOf("client", { egress: [{ to: [isApp("server")] }] }),
  policyOf("server", {
    ingress: [{ from: [isApp("client")], ports: [{ port: 5001, endPort: 5003 }] }],
  }),
];

function nodeObjects(name: string, address: string, cidr: string): readonly Resource[] {
  const node: Node = {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    status: { addresses: [{ type: "InternalIP", address }] },
  };
  const block: AddressBlock = {
    apiVersion: "heddle.dev/v1",
    kind: "AddressBlock",
    metadata: { name: cidr.replace("/", "-") },
    spec: { cidr, node: name },
  };
  return [node, block];
}

function podOf(name: string, nodeName: string, podIP: string): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "bench", name, uid: name, labels: { app: name } },
    spec: { nodeName, containers: [] },
    status: { phase: "Running", podIP },
  };
}

function isApp(app: string): NetworkPolicyPeer {
  return { podSelector: { matchLabels: { app } } };
}

function policyOf(
  app: string,
  rules: Pick<NetworkPolicy["spec"], "ingress" | "egress">,
): NetworkPolicy {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { namespace: "bench", name: app },
    spec: { podSelector: { matchLabels: { app } }, policyTypes: ["Ingress", "Egress"], ...rules },
  };
}
