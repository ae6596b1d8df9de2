/**
 * What the running kernel can do, found out by asking it for the thing itself and remembered.
 *
 * No probe changes anything: VXLAN is asked for without the attributes it needs, WireGuard in a namespace that nobody
 * is in, nftables only checks a transaction.
 */

import { existsSync } from "node:fs";
import { MeshError, renderError } from "../base/error.ts";
import { linkPrefix } from "../model/names.ts";
import type { KernelFeatures } from "../model/node-state.ts";
import { probeKind } from "../wire/netlink/link.ts";
import { attachedTo } from "./bpf/attach.ts";
import { libbpf } from "./bpf/libbpf.ts";
import { EOPNOTSUPP, SystemCallError } from "./ffi.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink-socket.ts";
import { inFreshNetns } from "./netns.ts";
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
  /** The kernel's own; what the node can make of it is wireguard.ts's to say. */
  readonly wireguard: KernelHas;
}

export type KernelHas = "available" | "absent" | "denied";

export function probeFeatures(socket: NetlinkSocket, nft: NftContext): Probe {
  const missing = new Map<keyof KernelFeatures, string>();
  const vxlan = probeVxlan(socket);
  if (vxlan !== undefined) missing.set("vxlan", vxlan);
  const nftables = probeNftables(nft);
  if (nftables !== undefined) missing.set("nftables", nftables);
  const wireguard = probeLinkKind("wireguard");
  return {
    features: { vxlan: vxlan === undefined, nftables: nftables === undefined },
    missing,
    wireguard,
  };
}

/** Throws MeshError `kernel.feature.<name>` that says what is missing. */
export function requireFeature(probe: Pick<Probe, "missing">, feature: keyof KernelFeatures): void {
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

/**
 * Whether the kernel makes links of a kind that needs no attributes, where asking is making one: in a namespace that
 * goes with the socket, and takes it along.
 */
export function probeLinkKind(kind: string): KernelHas {
  try {
    const socket = inFreshNetns(() => new NetlinkSocket(NETLINK_ROUTE));
    try {
      socket.request(probeKind(kind, `${linkPrefix}probe`));
      return "available";
    } finally {
      socket.close();
    }
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    return error.errno === EOPNOTSUPP ? "absent" : "denied";
  }
}

function probeNftables(nft: NftContext): string | undefined {
  try {
    nft.check(probeRuleset);
    return undefined;
  } catch (error) {
    return `the kernel's nftables lacks what policies and Services need (CONFIG_NF_TABLES_INET, NFT_NAT, NFT_LOG, NFT_CT, NFT_REDIR): ${renderError(error)}`;
  }
}

const kernelTypes = "/sys/kernel/btf/vmlinux";
const BPF_PROG_TYPE_SCHED_CLS = 3;
const loopback = 1; // the index of `lo` in every network namespace

/**
 * Why eBPF programs cannot be used here; undefined where they can. Apart from the other probes, since nothing but
 * accelerators needs it and the library is loaded for it.
 */
export function missingBpf(): string | undefined {
  if (!existsSync(kernelTypes)) {
    return "the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF, /sys/kernel/btf/vmlinux)";
  }
  try {
    if (!libbpf().canLoad(BPF_PROG_TYPE_SCHED_CLS)) {
      return "the kernel loads no eBPF programs for this process (CONFIG_NET_CLS_BPF; CAP_BPF outside user namespaces)";
    }
    listPrograms();
    return undefined;
  } catch (error) {
    if (error instanceof MeshError && error.code === "kernel.bpf.attach") {
      return `the kernel attaches no eBPF programs to links (tcx: Linux 6.6, CONFIG_NET_XGRESS): ${renderError(error)}`;
    }
    return renderError(error);
  }
}

/** Whether it can be told what is attached to links, and taken away, even where nothing can be loaded. */
export function canListPrograms(): boolean {
  try {
    listPrograms();
    return true;
  } catch {
    return false;
  }
}

function listPrograms(): void {
  attachedTo({ linkIndex: loopback, direction: "ingress" }, "hd_probe");
}
