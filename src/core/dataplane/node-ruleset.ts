/**
 * The node's table: the path of a packet, as rules that never change, over maps and sets that do.
 *
 * In the order in which a packet meets them:
 *   admission           prerouting, raw: it must come from an attached link with the pod's own address
 *   loopback-guard      prerouting, raw: nobody but the node itself uses its loopback addresses
 *   services-*          prerouting and output, dstnat: a Service's address becomes an endpoint's, or is refused
 *   host-ports-*        after that: a port of the node becomes a pod's
 *   name-server         output: while no name server listens, its port is silent
 *   forward, input      established connections pass; else the source's egress chain, then the destination's
 *                       ingress chain, both in one pass where both pods are here
 *   postrouting         masquerade for hairpin connections, for clients from outside that reached a Service, for the
 *                       node's loopback, which a pod could not answer, and for what leaves the pods' range
 *
 * A packet that concerns none of our links leaves each chain at its first rule, unmarked. Identities are looked up
 * once for a new connection: the source's goes into the packet mark, the destination's into the connection mark; the
 * packet mark is given back as 0. Policy therefore sees the real endpoint behind a Service address, and its port.
 *
 * What the node itself sends is not filtered: a node may always reach its own pods, as probes must.
 * IPv6 from pods is dropped at admission: they have no addresses of it, and nothing here would decide on it.
 */

import { renderCidr } from "../../base/ip.ts";
import { linkPrefix, nftTable, podGateway, vxlanLink } from "../../model/names.ts";
import type { NftChain, Ruleset } from "../../model/node-state.ts";
import type { NetworkSettings } from "../../model/node-view.ts";
import type { HostPortMaps } from "./host-ports.ts";
import { logAndDrop } from "./names.ts";
import type { PodMaps } from "./pod-maps.ts";
import type { ServiceMaps } from "./service-maps.ts";

/** Every link of ours, attached or not. */
const ours = `"${linkPrefix}*"`;

export function nodeRuleset(
  settings: NetworkSettings,
  pods: PodMaps,
  services: ServiceMaps,
  hostPorts: HostPortMaps,
): Ruleset {
  return {
    table: nftTable,
    sets: [...pods.sets, ...services.sets],
    maps: [...pods.maps, ...services.maps, ...hostPorts.maps],
    chains: [
      admission(settings),
      ...services.chains,
      nameServer,
      ...hostPorts.chains,
      ...policyHooks(settings),
      ...pods.chains,
      postrouting(settings, services),
    ],
  };
}

/** Before connection tracking, so that a forged packet can neither make an entry nor pass as part of a connection. */
function admission(settings: NetworkSettings): NftChain {
  const overlay = settings.encap.kind === "vxlan" ? [`iifname "${vxlanLink}" accept`] : [];
  return {
    name: "admission",
    hook: "type filter hook prerouting priority raw; policy accept;",
    rules: [
      `iifname != ${ours} accept`,
      "meta nfproto ipv6 drop",
      ...overlay,
      // Links with host ports carry the node's loopback, one way: what listens there trusts whoever reaches it.
      `ip daddr 127.0.0.0/8 ${logAndDrop({ kind: "admission", reason: "loopback-from-pod" })}`,
      "iifname . ip saddr @attached accept",
      `iifname @links ${logAndDrop({ kind: "admission", reason: "spoofed-source" })}`,
      logAndDrop({ kind: "admission", reason: "unknown-link" }),
    ],
  };
}

/**
 * While the agent is restarted, nobody listens on the pods' name server. Told so ("port unreachable"), a resolver fails
 * the lookup at once; told nothing, it asks again after its timeout and is answered by the next agent.
 */
const nameServer: NftChain = {
  name: "name-server",
  hook: "type filter hook output priority filter; policy accept;",
  rules: [
    `icmp type destination-unreachable ct original ip daddr ${podGateway} ct original proto-dst 53 drop`,
  ],
};

function policyHooks(settings: NetworkSettings): readonly NftChain[] {
  const { encap } = settings;
  const overlayFromPod = logAndDrop({ kind: "admission", reason: "overlay-from-pod" });
  return [
    {
      name: "forward",
      hook: "type filter hook forward priority filter; policy accept;",
      rules: [
        `iifname != ${ours} oifname != ${ours} accept`,
        "ct state vmap { established : accept, related : accept, invalid : drop }",
        // A pod that reaches itself through a Service: nothing may keep a pod from itself.
        "ip saddr . ip daddr @hairpin accept",
        ...markIdentities,
        "jump from-pod",
        "jump to-pod",
        "meta mark set 0x0",
      ],
    },
    {
      name: "input",
      hook: "type filter hook input priority filter; policy accept;",
      rules: [
        `iifname != ${ours} accept`,
        "ct state vmap { established : accept, related : accept, invalid : drop }",
        ...markIdentities,
        "jump from-pod",
        "meta mark set 0x0",
      ],
    },
    {
      name: "from-pod",
      rules: [
        `iifname != ${ours} return`,
        ...(encap.kind === "vxlan"
          ? [`iifname != "${vxlanLink}" udp dport ${encap.port} ${overlayFromPod}`]
          : []),
        "iifname vmap @egress",
        logAndDrop({ kind: "admission", reason: "unknown-link" }),
      ],
    },
    {
      name: "to-pod",
      rules: [
        `oifname != ${ours} return`,
        "oifname vmap @ingress",
        logAndDrop({ kind: "admission", reason: "unknown-link" }),
      ],
    },
  ];
}

const markIdentities: readonly string[] = [
  "meta mark set ip saddr map @identity",
  "ct mark set ip daddr map @identity",
];

function postrouting(settings: NetworkSettings, services: ServiceMaps): NftChain {
  const pods = renderCidr(settings.podCidr);
  return {
    name: "postrouting",
    hook: "type nat hook postrouting priority srcnat; policy accept;",
    rules: [
      // A pod drops what comes from its own address: the answer must take the way back through here.
      `ct status dnat ip saddr . ip daddr @hairpin snat ip to ${podGateway}`,
      ...services.masquerade,
      `ip saddr 127.0.0.0/8 oifname ${ours} snat ip to ${podGateway}`,
      `ip saddr ${pods} ip daddr != ${pods} oifname != ${ours} masquerade fully-random`,
    ],
  };
}
