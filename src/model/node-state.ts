/**
 * The kernel state of one node, as data: what `compileNode` wants, what a driver observes, and the plan between both.
 *
 * The ruleset is text at its leaves (rules, element keys) and structured above, because elements churn and rules do
 * not: two rulesets with the same chains differ in elements, and that difference is a transaction of that size.
 */

import type { Cidr } from "../base/ip.ts";
import type { Rate } from "./node-view.ts";

export interface NodeState {
  readonly sysctls: readonly Sysctl[];
  readonly links: readonly LinkSpec[];
  readonly addresses: readonly AddressSpec[];
  readonly routes: readonly RouteSpec[];
  /** Absent where there is none. */
  readonly rules?: readonly RuleSpec[];
  readonly neighbours: readonly NeighbourSpec[];
  readonly forwarding: readonly ForwardingSpec[];
  /** Absent where there is none. */
  readonly fastPath?: readonly FastPathSpec[];
  /** Undefined only in observed states: there is no table, or what is there was not asked. */
  readonly ruleset?: Ruleset;
}

/** A key below /proc/sys and its wanted value. */
export interface Sysctl {
  readonly key: string;
  readonly value: string;
}

export type LinkSpec = VethSpec | VxlanSpec | WireguardSpec;

/** The host's side of a pod's veth pair, and all of the pod's side. */
export interface VethSpec {
  readonly kind: "veth";
  readonly name: string;
  readonly mtu: number;
  readonly peer: PodInterface;
  /** How fast the node may send to the pod. */
  readonly limit?: Rate;
  /** The node's loopback addresses may be used on the link: what a host port of 127.0.0.1 needs. */
  readonly routesLoopback?: true;
}

export interface PodInterface {
  readonly netns: string;
  readonly ifName: string;
  readonly mac: string;
  /** Given to the interface as /32 and /128; each has a default route by way of its family's gateway. */
  readonly addresses: readonly string[];
  /** How fast the pod may send. */
  readonly limit?: Rate;
}

export interface VxlanSpec {
  readonly kind: "vxlan";
  readonly name: string;
  readonly mtu: number;
  readonly mac: string;
  readonly vni: number;
  readonly port: number;
  /** Source address of the outer packets. */
  readonly local: string;
  /**
   * Its packets may come from what is answered by another link, whatever is set for all links: other nodes reach pods here
   * from their own addresses.
   */
  readonly looseSources?: true;
}

/** The node's encrypted end of the overlay, with all that it speaks to; its private key is the driver's to know. */
export interface WireguardSpec {
  readonly kind: "wireguard";
  readonly name: string;
  readonly mtu: number;
  /** UDP, on every address of the node. */
  readonly port: number;
  /** False only in observed states: the device has another private key than this node's. */
  readonly hasNodeKey: boolean;
  /** As a VXLAN device's. */
  readonly looseSources?: true;
  /** Sorted by key. */
  readonly peers: readonly WireguardPeerSpec[];
}

export interface WireguardPeerSpec {
  /** Base64. */
  readonly publicKey: string;
  /** `192.0.2.2:51871`, `[2001:db8::2]:51871`; empty only in observed states. */
  readonly endpoint: string;
  /** CIDRs that packets to and from this peer have inside; sorted. */
  readonly allowed: readonly string[];
}

export interface AddressSpec {
  readonly link: string;
  readonly address: string;
  readonly prefixLength: number;
}

/** A route of protocol `routeProtocol`. */
export interface RouteSpec {
  readonly destination: Cidr;
  readonly link?: string;
  readonly via?: string;
  /** The next hop is reachable on the link although no address covers it. */
  readonly onLink?: boolean;
  /** Drops what no more specific route takes: keeps a block's unused addresses from leaving the node. */
  readonly blackhole?: boolean;
  readonly mtu?: number;
  /** Absent: the main one. */
  readonly table?: number;
}

/** Packets from these addresses take the routes of a table, where it has one, before those of the main one. */
export interface RuleSpec {
  readonly source: Cidr;
  readonly table: number;
}

export interface NeighbourSpec {
  readonly link: string;
  readonly address: string;
  readonly mac: string;
}

/** An entry of a VXLAN device's forwarding database: frames to `mac` go to the node at `remote`. */
export interface ForwardingSpec {
  readonly link: string;
  readonly mac: string;
  readonly remote: string;
}

/**
 * A link whose packets may pass beside routing and netfilter, where they belong to a connection that is established:
 * a pod's, which also says who the pod is, or the overlay's.
 */
export type FastPathSpec =
  | {
      readonly from: "pod";
      readonly link: string;
      readonly mtu: number;
      readonly mac: string;
      readonly addresses: readonly string[];
      /** What is sent to the pod is held back at the link, and must not pass it by. */
      readonly isPaced: boolean;
    }
  | { readonly from: "nodes"; readonly link: string };

export interface Ruleset {
  readonly table: string;
  readonly sets: readonly NftSet[];
  readonly maps: readonly NftMap[];
  readonly chains: readonly NftChain[];
}

export interface NftSet {
  readonly name: string;
  /** The part of the declaration that fixes keys, e.g. `type ipv4_addr` or `typeof ip daddr . th dport`. */
  readonly type: string;
  readonly flags?: readonly string[];
  readonly elements: readonly string[];
}

export interface NftMap {
  readonly name: string;
  /** E.g. `type ipv4_addr . inet_proto . inet_service : verdict`. */
  readonly type: string;
  readonly flags?: readonly string[];
  /** Most elements that a map may have that packets fill. */
  readonly size?: number;
  /** Key text to value text, in sorted order. */
  readonly elements: ReadonlyMap<string, string>;
  /**
   * More elements, of other keys: those that each part has for this map. Maps share one list, and rulesets its parts:
   * what two rulesets have in common is found by part, once for all maps, and not by element, so that a change among
   * 50 000 elements costs what it changes.
   */
  readonly parts?: readonly NftPart[];
}

/** A piece of several maps. */
export interface NftPart {
  /** By name of the map. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** An element by its key, of a set or a map. */
export interface NftElement {
  readonly collection: string;
  readonly key: string;
}

export interface NftChain {
  readonly name: string;
  /** E.g. `type filter hook forward priority filter; policy accept;`; undefined for a chain that is jumped to. */
  readonly hook?: string;
  readonly rules: readonly string[];
}

/** Steps in the order in which they must be taken; each is idempotent. */
export type Plan = readonly Step[];

export type Step =
  | {
      readonly kind: "nft";
      /** One transaction. */
      readonly text: string;
      /** What the table is after it, if it was before what the plan was made against. */
      readonly leadsTo?: Ruleset;
      /** Whatever it was before. */
      readonly isWhole?: true;
    }
  | { readonly kind: "sysctl"; readonly sysctl: Sysctl }
  | { readonly kind: "link-add"; readonly link: LinkSpec }
  | { readonly kind: "link-delete"; readonly name: string }
  | { readonly kind: "address-add"; readonly address: AddressSpec }
  | { readonly kind: "address-delete"; readonly address: AddressSpec }
  | { readonly kind: "route-replace"; readonly route: RouteSpec }
  | { readonly kind: "route-delete"; readonly route: RouteSpec }
  | { readonly kind: "rule-add"; readonly rule: RuleSpec }
  | { readonly kind: "rule-delete"; readonly rule: RuleSpec }
  | { readonly kind: "neighbour-replace"; readonly neighbour: NeighbourSpec }
  | { readonly kind: "neighbour-delete"; readonly neighbour: NeighbourSpec }
  | { readonly kind: "forwarding-replace"; readonly forwarding: ForwardingSpec }
  | { readonly kind: "forwarding-delete"; readonly forwarding: ForwardingSpec }
  | { readonly kind: "fast-path-put"; readonly fastPath: FastPathSpec }
  | { readonly kind: "fast-path-delete"; readonly fastPath: FastPathSpec };

/**
 * A tracked connection of a protocol without a connection's end: whom the client sent to, and who answers. Addresses are
 * canonical.
 */
export interface DatagramConnection {
  readonly protocol: "udp" | "sctp";
  readonly destination: string;
  readonly destinationPort: number;
  readonly answerer: string;
  readonly answererPort: number;
}

/** What the running kernel can do; probed once by the driver. */
export interface KernelFeatures {
  readonly vxlan: boolean;
  readonly nftables: boolean;
  /** Packets of established connections may pass beside netfilter: an accelerator, and never needed. */
  readonly fastPath?: boolean;
  /**
   * `no-tool`: the kernel has it, the program that sets it up is missing. `no-key`: the file of the node's key holds none.
   * Undefined: nobody asked.
   */
  readonly wireguard?: "available" | "absent" | "denied" | "no-tool" | "no-key";
}
