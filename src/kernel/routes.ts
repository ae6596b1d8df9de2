/** Lists a table's routes. */

import { decodeRoute, dumpRoutes, type Route } from "../wire/netlink/route.ts";
import { ENOENT } from "./ffi.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { doing } from "./refusal.ts";

/** Those of one protocol, or all with protocol 0; without `table`, of the main one. */
export function listRoutes(socket: NetlinkSocket, protocol: number, table?: number): Route[] {
  // ENOENT: there is no such table, as the main one of a namespace that never had a route.
  const list = () => socket.dump(dumpRoutes(protocol, table), decodeRoute);
  const routes = doing("route", "list routes", list, [ENOENT]) ?? [];
  return routes.filter(
    (route) => route.table === table && (protocol === 0 || route.protocol === protocol),
  );
}
