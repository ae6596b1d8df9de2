/**
 * Which links' packets may pass beside routing and netfilter: those of attached pods, and the overlay's.
 *
 * Only packets of connections that chain `forward` would accept take that way, as established or as like one that it
 * let be made under the same rules, whoever the pods are and whatever policies they have (kernel/bpf/fast-path.bpf.c).
 * So nothing of a policy is compiled twice, and a change of policy changes nothing here.
 *
 * Not here: what is sent straight to nodes on the same link (`encap: none`), which is not ours alone, and what is
 * encrypted, where the cipher is what a packet costs. Both take the plain path.
 */

import type { FastPathSpec, LinkSpec, Sysctl } from "../../model/node-state.ts";

export function fastPathFor(links: readonly LinkSpec[]): readonly FastPathSpec[] {
  return links.flatMap((link): readonly FastPathSpec[] => {
    if (link.kind === "wireguard") return [];
    if (link.kind === "vxlan") return [{ from: "nodes", link: link.name }];
    const { name, mtu, peer, limit } = link;
    const { mac, addresses } = peer;
    return [{ from: "pod", link: name, mtu, mac, addresses, isPaced: limit !== undefined }];
  });
}

/**
 * Connection tracking does not see how far a connection has got on the fast path. Its end must not look invalid for
 * that: a FIN from beyond the window, a RST from before it.
 */
export const fastPathSettings: readonly Sysctl[] = [
  { key: "net/netfilter/nf_conntrack_tcp_be_liberal", value: "1" },
  { key: "net/netfilter/nf_conntrack_tcp_ignore_invalid_rst", value: "1" },
];
