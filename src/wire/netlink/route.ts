/** Rtnetlink routes, of both families. */

import type { Cidr } from "../../base/ip.ts";
import { Attributes, addressFamily, concat, familyNumber, ip, nest, u32 } from "./attributes.ts";
import {
  malformed,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  viewOf,
} from "./message.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

const AF_UNSPEC = 0;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
const RTAX_MTU = 2;
const RT_TABLE_UNSPEC = 0;
const RT_TABLE_MAIN = 254;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;
const RTN_BLACKHOLE = 6;
const RTNH_F_ONLINK = 4;
const headBytes = 12;

export interface Route {
  readonly destination: Cidr;
  readonly protocol: number;
  readonly linkIndex?: number;
  readonly via?: string;
  readonly onLink: boolean;
  readonly blackhole: boolean;
  readonly mtu?: number;
  /** The least is taken. Absent: the kernel's usual, 0 for IPv4 and 1024 for IPv6. */
  readonly metric?: number;
  /** Absent: the main one. */
  readonly table?: number;
}

export function replaceRoute(route: Route): NetlinkRequest {
  // A next hop makes a route global; without one the destination is on the link itself.
  const scope = route.via === undefined && !route.blackhole ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  return {
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: concat(
      routeHeader(route, scope),
      ...routeTarget(route),
      ...(route.mtu === undefined ? [] : [nest(RTA_METRICS, u32(RTAX_MTU, route.mtu))]),
    ),
  };
}

/** Deletes the route to this destination that has this protocol, type, link and next hop. */
export function deleteRoute(route: Route): NetlinkRequest {
  return {
    type: RTM_DELROUTE,
    flags: 0,
    payload: concat(routeHeader(route, RT_SCOPE_NOWHERE), ...routeTarget(route)),
  };
}

/**
 * Lists a table's routes of one protocol; a socket with strict checking has the kernel filter. Without `table` they are
 * the main one's.
 */
export function dumpRoutes(protocol: number, table?: number): NetlinkRequest {
  const payload = new Uint8Array(headBytes);
  payload[0] = AF_UNSPEC;
  payload[4] = table === undefined ? RT_TABLE_MAIN : RT_TABLE_UNSPEC;
  payload[5] = protocol;
  const ofTable = table === undefined ? [] : [u32(RTA_TABLE, table)];
  return { type: RTM_GETROUTE, flags: NLM_F_DUMP, payload: concat(payload, ...ofTable) };
}

export function decodeRoute(payload: Uint8Array): Route {
  if (payload.length < headBytes) throw malformed(`route of ${payload.length} bytes`);
  const view = viewOf(payload);
  const attributes = new Attributes(payload, headBytes);
  const isIpv6 = view.getUint8(0) === addressFamily.IPv6;
  const linkIndex = attributes.u32(RTA_OIF);
  const via = attributes.ip(RTA_GATEWAY);
  const mtu = attributes.nested(RTA_METRICS)?.u32(RTAX_MTU);
  const metric = attributes.u32(RTA_PRIORITY);
  const table = attributes.u32(RTA_TABLE) ?? view.getUint8(4);
  return {
    destination: {
      address: attributes.ip(RTA_DST) ?? (isIpv6 ? "::" : "0.0.0.0"),
      prefixLength: view.getUint8(1),
    },
    protocol: view.getUint8(5),
    onLink: (view.getUint32(8, true) & RTNH_F_ONLINK) !== 0,
    blackhole: view.getUint8(7) === RTN_BLACKHOLE,
    ...(linkIndex === undefined ? {} : { linkIndex }),
    ...(via === undefined ? {} : { via }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(metric === undefined ? {} : { metric }),
    ...(table === RT_TABLE_MAIN || table === RT_TABLE_UNSPEC ? {} : { table }),
  };
}

function routeHeader(route: Route, scope: number): Uint8Array {
  // `struct rtmsg`: family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
  const head = Uint8Array.of(
    familyNumber(route.destination.address),
    route.destination.prefixLength,
    0,
    0,
    route.table === undefined ? RT_TABLE_MAIN : RT_TABLE_UNSPEC,
    route.protocol,
    scope,
    route.blackhole ? RTN_BLACKHOLE : RTN_UNICAST,
    route.onLink ? RTNH_F_ONLINK : 0,
    0,
    0,
    0,
  );
  const isDefault = route.destination.prefixLength === 0;
  return isDefault ? head : concat(head, ip(RTA_DST, route.destination.address));
}

function routeTarget(route: Route): Uint8Array[] {
  return [
    ...(route.via === undefined ? [] : [ip(RTA_GATEWAY, route.via)]),
    ...(route.linkIndex === undefined ? [] : [u32(RTA_OIF, route.linkIndex)]),
    ...(route.metric === undefined ? [] : [u32(RTA_PRIORITY, route.metric)]),
    ...(route.table === undefined ? [] : [u32(RTA_TABLE, route.table)]),
  ];
}
