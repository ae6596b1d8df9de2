/**
 * Forgets the tracked connections of an address, so that whoever gets the address next does not inherit them.
 *
 * A listing walks the whole hash table, which all namespaces of the machine share: 9 ms with the usual 262 144 buckets,
 * however few connections there are. So an empty table is not walked, a small one once, and a large one once for each
 * end at which the address may stand, because then decoding what the kernel could have filtered would cost more.
 */

import {
  type ConnectionEnd,
  connectionInvolves,
  decodeConnection,
  decodeConnectionCount,
  deleteConnection,
  dumpConnections,
  dumpConnectionsOf,
  getConnectionCount,
} from "../wire/netlink/conntrack.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { absent, doing } from "./refusal.ts";

const ends: readonly ConnectionEnd[] = ["original-source", "reply-source"];
const fewConnections = 2000; // decoding that many takes as long as one more walk

/** Returns how many connections were forgotten. */
export function forgetConnectionsOf(socket: NetlinkSocket, address: string): number {
  const count = countConnections(socket);
  if (count === 0) return 0;
  const listings =
    count <= fewConnections
      ? [dumpConnections()]
      : ends.map((end) => dumpConnectionsOf(end, address));
  let forgotten = 0;
  for (const listing of listings) {
    const found = doing("connection", `list connections of ${address}`, () =>
      socket.dump(listing, (payload, type) => {
        const connection = decodeConnection(type, payload);
        if (connection === undefined) return undefined;
        return connectionInvolves(connection, address) ? connection : undefined;
      }),
    );
    for (const connection of found ?? []) {
      const { source, destination } = connection.original;
      doing(
        "connection",
        `forget connection ${source} → ${destination}`,
        () => socket.request(deleteConnection(connection)),
        absent,
      );
      forgotten += 1;
    }
  }
  return forgotten;
}

/** Those of the addresses that open or answer a tracked connection: one walk, and none where nothing is tracked. */
export function connectedOf(
  socket: NetlinkSocket,
  addresses: readonly string[],
): readonly string[] {
  if (addresses.length === 0 || countConnections(socket) === 0) return [];
  const found = new Set<string>();
  doing("connection", `list connections of ${addresses.length} addresses`, () =>
    socket.dump(dumpConnections(), (payload, type) => {
      const connection = decodeConnection(type, payload);
      if (connection === undefined) return undefined;
      found.add(connection.original.source).add(connection.reply.source);
      return undefined;
    }),
  );
  return addresses.filter((address) => found.has(address));
}

function countConnections(socket: NetlinkSocket): number {
  const count = doing("connection", "count connections", () =>
    socket.get(getConnectionCount(), decodeConnectionCount),
  );
  return count ?? 0;
}
