/**
 * Rtnetlink links: the requests that make, change, delete and list them, and what the kernel tells of one.
 *
 * A veth pair is one request that puts the pod's end straight into the pod's namespace under its final name, with
 * its hardware address and MTU, so that it never exists in the node's namespace.
 */

import { familyOf } from "../../base/ip.ts";
import type { VxlanSpec } from "../../model/node-state.ts";
import {
  Attributes,
  addressFamily,
  concat,
  ip,
  mac,
  nest,
  raw,
  text,
  u8,
  u16be,
  u32,
} from "./attributes.ts";
import {
  malformed,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  viewOf,
} from "./message.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const AF_INET = 2;
/** The link's IPv4 settings: set as attributes by their numbers, told as one array that begins with number 1. */
const IFLA_INET_CONF = 1;
const IPV4_DEVCONF_RP_FILTER = 8;
const IPV4_DEVCONF_ROUTE_LOCALNET = 26;
/**
 * The source must be reachable, by any link; stronger than the strict 1, since the greater of the link's and `all`'s
 * counts.
 */
const rpFilterLoose = 2;
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
/** Counters are a third of a link's message, and nobody reads them here. */
const RTEXT_FILTER_SKIP_STATS = 1 << 3;

const IFF_UP = 1;
const infoBytes = 16;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `vxlan` …; empty for a link without a kind, such as `lo`. */
  readonly kind: string;
  readonly up: boolean;
  readonly mtu: number;
  readonly mac: string;
  /** Packets from and to loopback addresses may use the link. */
  readonly routesLoopback: boolean;
  /** Packets may come from what is answered by another link (`rp_filter` 2). */
  readonly looseSources: boolean;
  /** Of a veth: the other end's index in its own namespace. */
  readonly peerIndex?: number;
  readonly vxlan?: {
    readonly vni: number;
    readonly port: number;
    readonly local: string;
    readonly learning: boolean;
  };
}

export interface VethRequest {
  readonly name: string;
  readonly mtu: number;
  readonly peer: { readonly name: string; readonly mac: string; readonly netnsFd: number };
}

export function createVeth(veth: VethRequest): NetlinkRequest {
  const peer = concat(
    linkHeader({}),
    text(IFLA_IFNAME, veth.peer.name),
    mac(IFLA_ADDRESS, veth.peer.mac),
    u32(IFLA_MTU, veth.mtu),
    u32(IFLA_NET_NS_FD, veth.peer.netnsFd),
  );
  return newLink(veth.name, veth.mtu, [], "veth", raw(VETH_INFO_PEER, peer));
}

export function createVxlan(spec: VxlanSpec): NetlinkRequest {
  return newLink(
    spec.name,
    spec.mtu,
    [mac(IFLA_ADDRESS, spec.mac)],
    "vxlan",
    concat(
      u32(IFLA_VXLAN_ID, spec.vni),
      ip(familyOf(spec.local) === "IPv4" ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, spec.local),
      u8(IFLA_VXLAN_LEARNING, 0),
      u16be(IFLA_VXLAN_PORT, spec.port),
    ),
  );
}

/**
 * Asks for a link of a kind without the attributes that it needs. A kernel that has the kind answers EINVAL, one
 * that has not EOPNOTSUPP; neither makes anything.
 */
export function probeKind(kind: string, name: string): NetlinkRequest {
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: concat(
      linkHeader({}),
      text(IFLA_IFNAME, name),
      nest(IFLA_LINKINFO, text(IFLA_INFO_KIND, kind)),
    ),
  };
}

export interface LinkChange {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: string;
  readonly routesLoopback?: boolean;
  readonly looseSources?: true;
  /** A number by which many links can be deleted at once. */
  readonly group?: number;
  /** The kernel gives the link no IPv6 address by itself, now or when it comes up. */
  readonly noOwnAddress?: boolean;
}

export function changeLink(index: number, change: LinkChange): NetlinkRequest {
  return {
    type: RTM_NEWLINK,
    flags: 0,
    payload: concat(
      linkHeader({ index, ...(change.up === undefined ? {} : { up: change.up }) }),
      ...(change.mtu === undefined ? [] : [u32(IFLA_MTU, change.mtu)]),
      ...(change.mac === undefined ? [] : [mac(IFLA_ADDRESS, change.mac)]),
      ...(change.group === undefined ? [] : [u32(IFLA_GROUP, change.group)]),
      ...familySettings(change),
    ),
  };
}

/** Settings of each family, in one attribute: of two the kernel reads one. */
function familySettings({ noOwnAddress, routesLoopback, looseSources }: LinkChange): Uint8Array[] {
  const settings = [
    ...(routesLoopback === undefined
      ? []
      : [u32(IPV4_DEVCONF_ROUTE_LOCALNET, routesLoopback ? 1 : 0)]),
    ...(looseSources === undefined ? [] : [u32(IPV4_DEVCONF_RP_FILTER, rpFilterLoose)]),
  ];
  const families = [
    ...(noOwnAddress === true
      ? [nest(addressFamily.IPv6, u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE))]
      : []),
    ...(settings.length === 0 ? [] : [nest(addressFamily.IPv4, nest(IFLA_INET_CONF, ...settings))]),
  ];
  return families.length === 0 ? [] : [nest(IFLA_AF_SPEC, ...families)];
}

/** Deletes all links of a group, in the time that one takes. */
export function deleteLinkGroup(group: number): NetlinkRequest {
  return { type: RTM_DELLINK, flags: 0, payload: concat(linkHeader({}), u32(IFLA_GROUP, group)) };
}

export function deleteLink(name: string): NetlinkRequest {
  return {
    type: RTM_DELLINK,
    flags: 0,
    payload: concat(linkHeader({}), text(IFLA_IFNAME, name)),
  };
}

export function getLink(name: string): NetlinkRequest {
  return {
    type: RTM_GETLINK,
    flags: 0,
    payload: concat(
      linkHeader({}),
      text(IFLA_IFNAME, name),
      u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS),
    ),
  };
}

export function dumpLinks(): NetlinkRequest {
  return {
    type: RTM_GETLINK,
    flags: NLM_F_DUMP,
    payload: concat(linkHeader({}), u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)),
  };
}

export function decodeLink(payload: Uint8Array): Link {
  if (payload.length < infoBytes) throw malformed(`link of ${payload.length} bytes`);
  const view = viewOf(payload);
  const attributes = new Attributes(payload, infoBytes);
  const info = attributes.nested(IFLA_LINKINFO);
  const kind = info?.text(IFLA_INFO_KIND) ?? "";
  const vxlan = kind === "vxlan" ? info?.nested(IFLA_INFO_DATA) : undefined;
  const peerIndex = attributes.u32(IFLA_LINK);
  return {
    index: view.getInt32(4, true),
    name: attributes.text(IFLA_IFNAME) ?? "",
    kind,
    up: (view.getUint32(8, true) & IFF_UP) !== 0,
    mtu: attributes.u32(IFLA_MTU) ?? 0,
    mac: attributes.mac(IFLA_ADDRESS) ?? "",
    routesLoopback: decodeSetting(attributes, IPV4_DEVCONF_ROUTE_LOCALNET) !== 0,
    looseSources: decodeSetting(attributes, IPV4_DEVCONF_RP_FILTER) === rpFilterLoose,
    ...(kind === "veth" && peerIndex !== undefined ? { peerIndex } : {}),
    ...(vxlan === undefined ? {} : { vxlan: decodeVxlan(vxlan) }),
  };
}

/** 0 where the kernel does not tell. */
function decodeSetting(attributes: Attributes, number: number): number {
  const settings = attributes.nested(IFLA_AF_SPEC)?.nested(AF_INET)?.raw(IFLA_INET_CONF);
  const offset = (number - 1) * 4;
  if (settings === undefined || settings.length < offset + 4) return 0;
  return viewOf(settings).getUint32(offset, true);
}

function decodeVxlan(attributes: Attributes): NonNullable<Link["vxlan"]> {
  return {
    vni: attributes.u32(IFLA_VXLAN_ID) ?? 0,
    port: attributes.u16be(IFLA_VXLAN_PORT) ?? 0,
    local: attributes.ip(IFLA_VXLAN_LOCAL) ?? attributes.ip(IFLA_VXLAN_LOCAL6) ?? "0.0.0.0",
    learning: attributes.u8(IFLA_VXLAN_LEARNING) !== 0,
  };
}

function newLink(
  name: string,
  mtu: number,
  more: readonly Uint8Array[],
  kind: string,
  kindAttributes: Uint8Array,
): NetlinkRequest {
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: concat(
      linkHeader({}),
      text(IFLA_IFNAME, name),
      u32(IFLA_MTU, mtu),
      ...more,
      nest(IFLA_LINKINFO, text(IFLA_INFO_KIND, kind), nest(IFLA_INFO_DATA, kindAttributes)),
    ),
  };
}

/** `struct ifinfomsg`. Without `up` the link keeps its flags. */
function linkHeader(fields: { readonly index?: number; readonly up?: boolean }): Uint8Array {
  const bytes = new Uint8Array(infoBytes);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, fields.index ?? 0, true);
  if (fields.up !== undefined) {
    view.setUint32(8, fields.up ? IFF_UP : 0, true);
    view.setUint32(12, IFF_UP, true);
  }
  return bytes;
}
