/**
 * The rules inside a pod's namespace that hand its TCP to its sidecar.
 *
 * Outbound: whatever the application sends, to 15001. Inbound: whatever comes from outside, to 15006. Left alone are
 * the sidecar's own connections (known by their user), connections that never leave the pod, DNS to the node, and the
 * two ports at which the sidecar itself answers from outside. A pod that calls a Service and is given itself is the one
 * case in which the sidecar speaks to the sidecar: that connection counts as one from outside. The sidecar asks the
 * kernel where a connection wanted to go (SO_ORIGINAL_DST). UDP and everything else passes unseen.
 *
 * Sidecars speak IPv4. TCP over IPv6 would go past them, and past what they enforce, so it is refused at both ends:
 * whoever has both families goes on with IPv4 at once.
 */

import { nameServers, nftTable, ports, proxyUid, selfSource } from "../../model/names.ts";
import type { Ruleset } from "../../model/node-state.ts";

/** The same for every pod. */
export function compilePodCapture(): Ruleset {
  return {
    table: nftTable,
    sets: [],
    maps: [],
    chains: [
      {
        name: "capture-outbound",
        hook: "type nat hook output priority -100; policy accept;",
        rules: [
          `meta skuid ${proxyUid} oifname "lo" ip saddr ${selfSource} meta l4proto tcp redirect to :${ports.inbound}`,
          `meta skuid ${proxyUid} return`,
          'oifname "lo" return',
          `ip daddr ${nameServers.IPv4} tcp dport 53 return`,
          `meta nfproto ipv4 meta l4proto tcp redirect to :${ports.outbound}`,
        ],
      },
      {
        name: "capture-inbound",
        hook: "type nat hook prerouting priority dstnat; policy accept;",
        rules: [
          'iifname "lo" return',
          `tcp dport { ${ports.metrics}, ${ports.readiness} } return`,
          `meta nfproto ipv4 meta l4proto tcp redirect to :${ports.inbound}`,
        ],
      },
      {
        name: "refuse-outbound",
        hook: "type filter hook output priority filter; policy accept;",
        rules: [
          'oifname "lo" accept',
          `ip6 daddr ${nameServers.IPv6} tcp dport 53 accept`,
          `meta nfproto ipv6 meta l4proto tcp ${refuse}`,
        ],
      },
      {
        name: "refuse-inbound",
        hook: "type filter hook input priority filter; policy accept;",
        rules: [
          'iifname "lo" accept',
          `ip6 saddr ${nameServers.IPv6} tcp sport 53 accept`,
          `meta nfproto ipv6 tcp dport != { ${ports.metrics}, ${ports.readiness} } ${refuse}`,
        ],
      },
    ],
  };
}

const refuse = "reject with tcp reset";
