/** Lists the main table's routes. */

import { decodeRoute, dumpRoutes, type Route } from "../wire/netlink/route.ts";
import { ENOENT, SystemCallError } from "./ffi.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";

/** Those of one protocol, or all with protocol 0. */
export function listRoutes(socket: NetlinkSocket, protocol: number): Route[] {
  try {
    const routes = socket.dump(dumpRoutes(protocol), decodeRoute);
    return protocol === 0 ? routes : routes.filter((route) => route.protocol === protocol);
  } catch (error) {
    // A namespace that never had a route has no main table yet.
    if (error instanceof SystemCallError && error.errno === ENOENT) return [];
    throw error;
  }
}
