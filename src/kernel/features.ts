/**
 * What the running kernel can do, found out by asking it for the thing itself and remembered.
 *
 * No probe changes anything: VXLAN is asked for without the attributes it needs, nftables only checks a transaction.
 */

import { MeshError, renderError } from "../base/error.ts";
import { linkPrefix } from "../model/names.ts";
import type { KernelFeatures } from "../model/node-state.ts";
import { probeKind } from "../wire/netlink/link.ts";
import { EOPNOTSUPP, SystemCallError } from "./ffi.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import type { NftContext } from "./nftables.ts";

/** One of everything that our rulesets are made of. */
const probeRuleset = `table inet heddle-probe {
	map verdicts {
		type ipv4_addr . inet_proto . inet_service : verdict
	}
	set ranges {
		type ipv4_addr . inet_service
		flags interval
	}
	chain nat {
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr . meta l4proto . th dport vmap @verdicts
		ip protocol tcp redirect to :15001
	}
	chain filter {
		type filter hook forward priority filter; policy accept;
		ct state established accept
		ip saddr . th dport @ranges log group 1 drop
	}
}
`;

export interface Probe {
  readonly features: KernelFeatures;
  /** For each missing feature, what is missing and what would bring it. */
  readonly missing: ReadonlyMap<keyof KernelFeatures, string>;
}

export function probeFeatures(socket: NetlinkSocket, nft: NftContext): Probe {
  const missing = new Map<keyof KernelFeatures, string>();
  const vxlan = probeVxlan(socket);
  if (vxlan !== undefined) missing.set("vxlan", vxlan);
  const nftables = probeNftables(nft);
  if (nftables !== undefined) missing.set("nftables", nftables);
  return {
    features: { vxlan: vxlan === undefined, nftables: nftables === undefined },
    missing,
  };
}

/** Throws MeshError `kernel.feature.<name>` that says what is missing. */
export function requireFeature(probe: Probe, feature: keyof KernelFeatures): void {
  const what = probe.missing.get(feature);
  if (what !== undefined) {
    throw new MeshError(`kernel.feature.${feature}`, what, { fault: "host" });
  }
}

function probeVxlan(socket: NetlinkSocket): string | undefined {
  try {
    socket.request(probeKind("vxlan", `${linkPrefix}probe`));
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    if (error.errno === EOPNOTSUPP) {
      return "the kernel has no VXLAN devices (CONFIG_VXLAN, module vxlan): use encapsulation none";
    }
  }
  return undefined;
}

function probeNftables(nft: NftContext): string | undefined {
  try {
    nft.check(probeRuleset);
    return undefined;
  } catch (error) {
    return `the kernel's nftables lacks what policies and Services need (CONFIG_NF_TABLES_INET, NFT_NAT, NFT_LOG, NFT_CT, NFT_REDIR): ${renderError(error)}`;
  }
}
