/**
 * The node's table: the path of a packet, as rules that never change, over maps and sets that do.
 *
 * In the order in which a packet meets them:
 *   admission           prerouting, raw: from one of our links it must have the pod's own address; nobody but the node
 *                       itself uses its loopback addresses
 *   overlay             output, raw: what the overlay wraps is not tracked a second time
 *   encryption          postrouting, filter: what goes between nodes leaves encrypted (encryption.ts)
 *   services-*          prerouting and output, dstnat: a Service's address becomes an endpoint's, or is refused
 *   host-ports-*        after that: a port of the node becomes a pod's
 *   name-server         output: while no name server listens, its port is silent
 *   forward, input      established connections pass, but for what opens one; else the source's egress chain, then the
 *                       destination's ingress chain, both in one pass where both pods are here; what that lets be made
 *                       is stamped with the number of the rules, for the fast path (kernel/bpf/verdicts.h)
 *   postrouting         masquerade for hairpin connections, for clients from outside that reached a Service, for the
 *                       node's loopback, which a pod could not answer, and for what leaves the pods' range
 *
 * A packet that concerns none of our links leaves the filter chains at their first rule, unmarked; those of type nat
 * see its connection once, since clients from outside ask Services too. Identities are looked up once for a new
 * connection: the source's goes into the packet mark, the destination's into the connection mark; the packet mark is
 * given back as 0. Policy therefore sees the real endpoint behind a Service address, and its port.
 *
 * What the node itself sends is not filtered: a node may always reach its own pods, as probes must.
 * Both families take the same rules, over a set each. A pod's neighbour discovery passes admission; what else a link
 * says by itself, in IPv6, is dropped unlogged.
 */

import { familyOf, ipFamilies } from "../../base/ip.ts";
import {
  linkPrefix,
  nameServers,
  nftTable,
  podGateway,
  podGateways,
  rulesStamp,
  stampRule,
} from "../../model/names.ts";
import type { NftChain, NftSet, Ruleset } from "../../model/node-state.ts";
import type { NetworkSettings, NodeView } from "../../model/node-view.ts";
import { hasOverlay, overlayLink, remoteOf } from "../topology/overlay.ts";
import { encryptedNodeSets, encryption, fromPodsInTheClear } from "./encryption.ts";
import { nftFamilies, nftFamily, ofBoth } from "./families.ts";
import type { HostPortMaps } from "./host-ports.ts";
import { cidrRange, mergeRanges, renderAddresses } from "./intervals.ts";
import { logAndDrop } from "./names.ts";
import type { PodMaps } from "./pod-maps.ts";
import type { ServiceMaps } from "./service-maps.ts";

/** Every link of ours, attached or not. */
const ours = `"${linkPrefix}*"`;

/** A sender that has no address of its own yet, or speaks as its link. */
const fromTheLink = "ip6 saddr { ::, fe80::/10 }";
const neighbourDiscovery = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }";

export interface NodeMaps {
  readonly pods: PodMaps;
  readonly services: ServiceMaps;
  readonly hostPorts: HostPortMaps;
}

/** `encryptedNodes`: own addresses of other nodes, as the overlay has it. */
export function nodeRuleset(
  view: Pick<NodeView, "node" | "nodes" | "settings">,
  encryptedNodes: readonly string[],
  { pods, services, hostPorts }: NodeMaps,
): Ruleset {
  const { settings } = view;
  const wrapped = wrappedPackets(view);
  const isEncrypted = settings.encap.kind === "wireguard";
  return {
    table: nftTable,
    sets: [
      ...pods.sets,
      ...rangeSets(settings),
      ...(isEncrypted ? encryptedNodeSets(encryptedNodes) : []),
      ...(wrapped === undefined || wrapped.fromStrangers.length === 0 ? [] : [endPoints(view)]),
      ...services.sets,
    ],
    maps: [...pods.maps, ...services.maps, ...hostPorts.maps],
    chains: [
      ...admission(settings, wrapped),
      ...overlay(wrapped),
      ...(isEncrypted ? [encryption] : []),
      ...services.chains,
      nameServer,
      ...hostPorts.chains,
      ...policyHooks(settings),
      ...pods.chains,
      postrouting(services),
    ],
  };
}

/** Before connection tracking, so that a forged packet can neither make an entry nor pass as part of a connection. */
function admission(
  settings: NetworkSettings,
  wrapped: WrappedPackets | undefined,
): readonly NftChain[] {
  const fromOverlay = hasOverlay(settings.encap)
    ? [`iifname "${overlayLink(settings.encap)}" goto loopback-guard`]
    : [];
  const chain: NftChain = {
    name: "admission",
    hook: "type filter hook prerouting priority raw; policy accept;",
    rules: [
      `iifname != ${ours} goto from-elsewhere`,
      ...fromOverlay,
      // Links with host ports carry the node's loopback, one way: what listens there trusts whoever reaches it.
      `ip daddr 127.0.0.0/8 ${logAndDrop({ kind: "admission", reason: "loopback-from-pod" })}`,
      ...ofBoth(({ keyword, suffix }) => `iifname . ${keyword} saddr @attached${suffix} accept`),
      `iifname @links ${fromTheLink} ${neighbourDiscovery} accept`,
      `iifname @links ${fromTheLink} drop`,
      `iifname @links ${logAndDrop({ kind: "admission", reason: "spoofed-source" })}`,
      logAndDrop({ kind: "admission", reason: "unknown-link" }),
    ],
  };
  const arriving =
    wrapped === undefined
      ? []
      : [`${wrapped.arriving} notrack`, ...wrapped.fromStrangers.map((each) => `${each} drop`)];
  return [
    chain,
    { name: "from-elsewhere", rules: ['iifname "lo" accept', ...arriving, "goto loopback-guard"] },
    // Although node ports make the kernel route them.
    { name: "loopback-guard", rules: ["ip daddr 127.0.0.0/8 drop", "ip saddr 127.0.0.0/8 drop"] },
  ];
}

/** Matches for what goes from this node's end point of the overlay to another's, and comes from one. */
interface WrappedPackets {
  readonly leaving: string;
  readonly arriving: string;
  /** For our network, and from none of its nodes: VXLAN itself takes it from anybody. */
  readonly fromStrangers: readonly string[];
}

/** Addresses that other nodes' end points of the overlay send from. */
function endPoints({ node, nodes }: Pick<NodeView, "node" | "nodes">): NftSet {
  const self = nodes.find(({ name }) => name === node);
  const family = familyOf(self?.address ?? "0.0.0.0");
  const remotes = nodes.flatMap((peer) =>
    self === undefined || peer === self ? [] : (remoteOf(peer, self) ?? []),
  );
  return {
    name: endPointsSet,
    type: `type ${nftFamily[family].addressType}`,
    elements: [...new Set(remotes)].sort(),
  };
}

const endPointsSet = "end-points";

/** Undefined where nothing is wrapped, or from which address is not known yet. */
function wrappedPackets({
  node,
  nodes,
  settings: { encap },
}: Pick<NodeView, "node" | "nodes" | "settings">): WrappedPackets | undefined {
  const address = nodes.find(({ name }) => name === node)?.address;
  if (address === undefined || !hasOverlay(encap)) return undefined;
  const { keyword } = nftFamily[familyOf(address)];
  const arriving = `${keyword} daddr ${address} udp dport ${encap.port}`;
  return {
    leaving: `${keyword} saddr ${address} udp dport ${encap.port}`,
    arriving,
    fromStrangers:
      encap.kind === "wireguard"
        ? []
        : [`${arriving} @th,96,24 ${encap.vni} ${keyword} saddr != @${endPointsSet}`],
  };
}

/**
 * Every connection inside has its own port outside and is tracked inside: tracking it outside, too, doubles what a new
 * one costs (bench/pod-to-pod).
 */
function overlay(wrapped: WrappedPackets | undefined): readonly NftChain[] {
  if (wrapped === undefined) return [];
  const hook = "type filter hook output priority raw; policy accept;";
  return [{ name: "overlay", hook, rules: [`${wrapped.leaving} notrack`] }];
}

/**
 * While the agent is restarted, nobody listens on the pods' name server. Told so ("port unreachable"), a resolver fails
 * the lookup at once; told nothing, it asks again after its timeout and is answered by the next agent.
 */
const nameServer: NftChain = {
  name: "name-server",
  hook: "type filter hook output priority filter; policy accept;",
  rules: [
    `icmp type destination-unreachable ct original ip daddr ${nameServers.IPv4} ct original proto-dst 53 drop`,
    `icmpv6 type destination-unreachable ct original ip6 daddr ${nameServers.IPv6} ct original proto-dst 53 drop`,
  ],
};

function policyHooks(settings: NetworkSettings): readonly NftChain[] {
  const { encap } = settings;
  // Before what is known: masquerading may take the overlay's port for a source, and a pod would answer it. What
  // WireGuard takes is authenticated: who sends it does not matter.
  const overlayFromPod =
    hasOverlay(encap) && encap.kind !== "wireguard"
      ? [
          `iifname ${ours} iifname != "${overlayLink(encap)}" udp dport ${encap.port} ${logAndDrop({ kind: "admission", reason: "overlay-from-pod" })}`,
        ]
      : [];
  return [
    {
      name: "forward",
      hook: "type filter hook forward priority filter; policy accept;",
      rules: [
        // First: what is none of ours pays for one rule, and nothing below has a say about it.
        `iifname != ${ours} oifname != ${ours} accept`,
        // Before what is known: an answer, and what others have opened, come encrypted or not at all.
        ...(encap.kind === "wireguard" ? fromPodsInTheClear : []),
        // Both ends agree on segments that the way between them takes, also where ICMP does not come through. Before
        // what is known, as a SYN-ACK is.
        "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu",
        ...overlayFromPod,
        // After all that no connection may do, and before the identities: a known connection's mark is the fast path's.
        passKnown,
        // A pod that reaches itself through a Service: nothing may keep a pod from itself. So before policy; after what
        // is known, which also drops what is part of nothing.
        ...ofBoth(
          ({ keyword, suffix }) => `${keyword} saddr . ${keyword} daddr @hairpin${suffix} accept`,
        ),
        // Policy goes by them.
        ...markIdentities,
        // What these let pass they return: an `accept` in the first would spare the packet the second.
        "jump from-pod",
        "jump to-pod",
        // The mark was lent: routing and the chains of others, which come later, find none.
        "meta mark set 0x0",
        // Last: the number says that all rules above have let the connection be made. One that is in the table already
        // was made under earlier ones, and gets none.
        `ct status & confirmed == 0 jump ${rulesStamp.chain}`,
      ],
    },
    { name: "established", rules: [`${opensTcp} return`, "accept"] },
    { name: rulesStamp.chain, rules: [stampRule(0)] },
    {
      name: "input",
      hook: "type filter hook input priority filter; policy accept;",
      rules: [
        // Before all others, since the next lets pass what it is about: a node knows pods by their addresses.
        ...(encap.kind === "wireguard" ? fromPodsInTheClear : []),
        `iifname != ${ours} accept`, // as in `forward`
        // Before policy, as it is not tracked: without it a pod finds no gateway.
        `${neighbourDiscovery} accept`,
        // The rest is in the order of `forward`. Nothing is stamped: no fast path leads here.
        ...overlayFromPod,
        passKnown,
        ...markIdentities,
        "jump from-pod",
        "meta mark set 0x0",
      ],
    },
    {
      name: "from-pod",
      rules: [
        `iifname != ${ours} return`,
        // A link that is in no map has no policy yet: nothing may pass by the end of the chain.
        "iifname vmap @egress",
        logAndDrop({ kind: "admission", reason: "unknown-link" }),
      ],
    },
    {
      name: "to-pod",
      rules: [
        `oifname != ${ours} return`,
        "oifname vmap @ingress", // as above
        logAndDrop({ kind: "admission", reason: "unknown-link" }),
      ],
    },
  ];
}

/**
 * A SYN opens a connection, whatever is remembered of an earlier one with its addresses and ports, so it is asked about
 * like any: connection tracking lets it pass as part of a connection that ended out of its sight.
 */
const passKnown =
  "ct state vmap { established : jump established, related : accept, invalid : drop }";
const opensTcp = "tcp flags & (fin | syn | rst | ack) == syn";

const markIdentities: readonly string[] = ofBoth(({ keyword, suffix }) => [
  `meta mark set ${keyword} saddr map @identity${suffix}`,
  `ct mark set ${keyword} daddr map @identity${suffix}`,
]);

function postrouting(services: ServiceMaps): NftChain {
  return {
    name: "postrouting",
    hook: "type nat hook postrouting priority srcnat; policy accept;",
    rules: [
      // A pod drops what comes from its own address: the answer must take the way back through here.
      ...nftFamilies.map(
        ({ family, keyword, suffix }) =>
          `ct status dnat ${keyword} saddr . ${keyword} daddr @hairpin${suffix} snat ${keyword} to ${podGateways[family]}`,
      ),
      ...services.masquerade,
      `ip saddr 127.0.0.0/8 oifname ${ours} snat ip to ${podGateway}`,
      ...ofBoth(
        ({ keyword, suffix }) =>
          `${keyword} saddr @masqueraded${suffix} ${keyword} daddr != @pod-ranges${suffix} oifname != ${ours} masquerade fully-random`,
      ),
    ],
  };
}

/** All ranges of pods, and those of them whose packets leave with the node's address. */
function rangeSets({ pools }: NetworkSettings): readonly NftSet[] {
  return ipFamilies.flatMap((family) => {
    const { addressType, suffix } = nftFamily[family];
    const own = pools.filter(({ cidr }) => familyOf(cidr.address) === family);
    const setOf = (name: string, of: typeof own): NftSet => ({
      name: `${name}${suffix}`,
      type: `type ${addressType}`,
      flags: ["interval"],
      elements: mergeRanges(of.map(({ cidr }) => cidrRange(cidr))).map((range) =>
        renderAddresses(range, family),
      ),
    });
    return [
      setOf("pod-ranges", own),
      setOf(
        "masqueraded",
        own.filter((each) => each.masquerade),
      ),
    ];
  });
}
