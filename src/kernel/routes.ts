/** Lists the main table's routes. */

import { decodeRoute, dumpRoutes, type Route } from "../wire/netlink/route.ts";
import { ENOENT } from "./ffi.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { doing } from "./refusal.ts";

/** Those of one protocol, or all with protocol 0. */
export function listRoutes(socket: NetlinkSocket, protocol: number): Route[] {
  // ENOENT: a namespace that never had a route has no main table yet.
  const list = () => socket.dump(dumpRoutes(protocol), decodeRoute);
  const routes = doing("route", "list routes", list, [ENOENT]) ?? [];
  return protocol === 0 ? routes : routes.filter((route) => route.protocol === protocol);
}
