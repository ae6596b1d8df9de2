/**
 * Forgets the tracked connections of an address, so that whoever gets the address next does not inherit them.
 *
 * An address stands in a connection's original tuple (it opened it, or was addressed directly) or in the reply's (it
 * answered behind a Service address). Each end is one listing that the kernel filters, then one deletion for each hit.
 */

import {
  type Connection,
  type ConnectionEnd,
  connectionInvolves,
  decodeConnection,
  deleteConnection,
  dumpConnections,
} from "../wire/netlink/conntrack.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { absent, doing } from "./refusal.ts";

const ends: readonly ConnectionEnd[] = [
  "original-source",
  "original-destination",
  "reply-source",
  "reply-destination",
];

/** Returns how many connections were forgotten. */
export function forgetConnectionsOf(socket: NetlinkSocket, address: string): number {
  let forgotten = 0;
  for (const end of ends) {
    let found: Connection[] = [];
    doing("connection", `list connections of ${address}`, () => {
      found = socket.dump(dumpConnections(end, address), (payload, type) =>
        decodeConnection(type, payload),
      );
    });
    for (const connection of found) {
      if (!connectionInvolves(connection, address)) continue;
      doing(
        "connection",
        `forget connection ${connection.original.source} → ${connection.original.destination}`,
        () => socket.request(deleteConnection(connection)),
        absent,
      );
      forgotten += 1;
    }
  }
  return forgotten;
}
