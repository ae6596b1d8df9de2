/**
 * What has to get through a node, as packets at the hooks that they pass: what rules of others are judged by.
 *
 * Addresses are whole ranges (a node's blocks), ports of pods are not known: a rule counts only where it is about all
 * of it. Each packet opens a connection, since what is established is usually let through.
 */

import { type Cidr, familyOf, hostCidr } from "../../base/ip.ts";
import type { ForeignChain } from "../../model/foreign-rules.ts";
import { podGateway } from "../../model/names.ts";
import type { ForeignDrop, TrafficName } from "../../model/network-check.ts";
import type { NodePeer, NodeView } from "../../model/node-view.ts";
import { hasOverlay, overlayLink } from "../topology/overlay.ts";
import { dropOf, type Packet } from "./walk-rules.ts";

/** The links of a node that packets come and go by. */
export interface NodeLinks {
  readonly uplink: string;
  /** Host sides of two pods' links; names that pods' links could have, where there are none. */
  readonly pods: readonly [string, string];
}

interface Passage {
  readonly traffic: TrafficName;
  readonly hook: string;
  /** Of a link's own hooks. */
  readonly device?: string;
  readonly packet: Packet;
  readonly peer?: string;
}

/** Peers whose packets are looked at one by one; of more, the first. */
const maxPeers = 64;

/** What chains of others drop, or may, each rule and traffic once. */
export function foreignDrops(
  chains: readonly ForeignChain[],
  view: NodeView,
  links: NodeLinks,
): readonly ForeignDrop[] {
  const found = new Map<string, ForeignDrop>();
  for (const passage of passages(view, links)) {
    for (const base of chains.filter((chain) => isMet(chain, passage))) {
      const drop = dropOf(base, chains, passage.packet);
      if (drop === undefined) continue;
      const { chain, rule } = drop;
      const key = `${passage.traffic} ${base.tool} ${base.family} ${base.table} ${base.name} ${chain.name} ${rule?.text}`;
      const peers = new Set(found.get(key)?.peers);
      if (passage.peer !== undefined) peers.add(passage.peer);
      found.set(key, {
        traffic: passage.traffic,
        tool: base.tool,
        family: base.family,
        table: base.table,
        chain: base.name,
        hook: passage.hook,
        isCertain: drop.isCertain && found.get(key)?.isCertain !== false,
        ...(chain === base ? {} : { inChain: chain.name }),
        ...(rule === undefined ? {} : { rule: rule.text }),
        ...(passage.device === undefined ? {} : { device: passage.device }),
        ...(passage.packet.port === undefined ? {} : { port: passage.packet.port }),
        peers: [...peers].sort(),
      });
    }
  }
  return [...found.values()];
}

function isMet({ base, family }: ForeignChain, { hook, device, packet }: Passage): boolean {
  if (base?.hook !== hook || base.device !== device) return false;
  const range = packet.source ?? packet.destination;
  const own = range === undefined ? undefined : familyOf(range.address);
  if (family === "ip") return own === "IPv4";
  if (family === "ip6") return own === "IPv6";
  return family === "inet" || family === "netdev";
}

function passages(view: NodeView, links: NodeLinks): readonly Passage[] {
  const self = view.nodes.find(({ name }) => name === view.node);
  if (self === undefined) return [];
  const peers = view.nodes.filter(({ name }) => name !== view.node).slice(0, maxPeers);
  return [
    ...peers.flatMap((peer) => betweenNodes(self, peer, view, links)),
    ...peers.flatMap((peer) => betweenPods(self, peer, view, links)),
    ...self.blocks.flatMap((block) => withinNode(block, links)),
  ];
}

function betweenNodes(
  self: NodePeer,
  peer: NodePeer,
  { settings: { encap } }: NodeView,
  { uplink }: NodeLinks,
): readonly Passage[] {
  const family = familyOf(self.address);
  const remote = peer.addresses.find((address) => familyOf(address) === family);
  if (!hasOverlay(encap) || remote === undefined) return [];
  const [own, other] = [hostCidr(self.address), hostCidr(remote)];
  const wrapped = { protocol: "udp", port: encap.port } as const;
  const incoming = { ...wrapped, iifname: uplink, oifname: "", source: other, destination: own };
  const outgoing = { ...wrapped, iifname: "", oifname: uplink, source: own, destination: other };
  const echo = {
    protocol: family === "IPv4" ? "icmp" : "icmpv6",
    iifname: overlayLink(encap),
    oifname: "",
    source: other,
    destination: own,
  } as const;
  return [
    { traffic: "overlay-in", hook: "ingress", device: uplink, packet: incoming, peer: peer.name },
    ...at("overlay-in", ["prerouting", "input"], incoming, peer.name),
    ...at("overlay-out", ["output", "postrouting"], outgoing, peer.name),
    { traffic: "overlay-out", hook: "egress", device: uplink, packet: outgoing, peer: peer.name },
    ...at("node-in", ["prerouting", "input"], echo, peer.name),
  ];
}

function betweenPods(
  self: NodePeer,
  peer: NodePeer,
  { settings: { encap } }: NodeView,
  { uplink, pods: [pod] }: NodeLinks,
): readonly Passage[] {
  const away = hasOverlay(encap) ? overlayLink(encap) : uplink;
  const pairs = self.blocks.flatMap((own) =>
    peer.blocks
      .filter((other) => familyOf(other.address) === familyOf(own.address))
      .slice(0, 1)
      .map((other) => ({ own, other })),
  );
  return pairs.flatMap(({ own, other }) => [
    ...ofPods("pods-out", pod, away, { source: own, destination: other }, peer.name),
    ...ofPods("pods-in", away, pod, { source: other, destination: own }, peer.name),
  ]);
}

function withinNode(block: Cidr, { uplink, pods: [pod, another] }: NodeLinks): readonly Passage[] {
  const toNames = { iifname: pod, oifname: "", source: block, port: 53 };
  const gateway = hostCidr(podGateway);
  // The check's own lookups are the node's.
  const asked = { iifname: "", oifname: "lo", source: gateway, port: 53 };
  const looped = { iifname: "lo", oifname: "" };
  return [
    ...ofPods("pods-here", pod, another, { source: block, destination: block }),
    ...at("pods-away", ["forward"], { ...leaving(block), iifname: pod, oifname: uplink }),
    ...(familyOf(block.address) === "IPv4"
      ? (["udp", "tcp"] as const).flatMap((protocol) => [
          ...at("names", ["prerouting", "input"], { ...toNames, protocol, destination: gateway }),
          ...at("names", ["output"], { ...asked, protocol, destination: gateway }),
          ...at("names", ["input"], { ...asked, ...looped, protocol, destination: gateway }),
        ])
      : []),
  ];
}

function leaving(block: Cidr): Pick<Packet, "source" | "protocol"> {
  return { source: block, protocol: "tcp" };
}

function ofPods(
  traffic: TrafficName,
  iifname: string,
  oifname: string,
  ends: Pick<Packet, "source" | "destination">,
  peer?: string,
): readonly Passage[] {
  return (["tcp", "udp"] as const).flatMap((protocol) => [
    ...at(traffic, ["prerouting"], { ...ends, protocol, iifname, oifname: "" }, peer),
    ...at(traffic, ["forward", "postrouting"], { ...ends, protocol, iifname, oifname }, peer),
  ]);
}

function at(
  traffic: TrafficName,
  hooks: readonly string[],
  packet: Packet,
  peer?: string,
): readonly Passage[] {
  return hooks.map((hook) => ({ traffic, hook, packet, ...(peer === undefined ? {} : { peer }) }));
}
