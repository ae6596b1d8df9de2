/**
 * Forgets the tracked connections of addresses, so that whoever gets an address next does not inherit them.
 *
 * A listing walks the whole hash table, which all namespaces of the machine share: 9 ms with the usual 262 144 buckets,
 * however few connections there are. So an empty table is not walked, a small one once for all addresses, and a large
 * one once for each end at which each address may stand, where decoding what the kernel could have filtered would cost
 * more.
 */

import type { DatagramConnection } from "../model/node-state.ts";
import {
  type Connection,
  type ConnectionEnd,
  connectionInvolves,
  decodeConnection,
  decodeConnectionCount,
  deleteConnection,
  dumpConnections,
  dumpConnectionsOf,
  getConnectionCount,
} from "../wire/netlink/conntrack.ts";
import type { NetlinkRequest } from "../wire/netlink/message.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { absent, doing } from "./refusal.ts";

const ends: readonly ConnectionEnd[] = ["original-source", "reply-source"];
const fewConnections = 2000; // decoding that many takes as long as one more walk

/** Returns how many connections were forgotten. */
export function forgetConnectionsOf(socket: NetlinkSocket, addresses: ReadonlySet<string>): number {
  if (addresses.size === 0) return 0;
  const count = countConnections(socket);
  if (count === 0) return 0;
  const filtered = [...addresses].flatMap((address) =>
    ends.map((end) => dumpConnectionsOf(end, address)),
  );
  const walksSaved = filtered.length - 1;
  const listings = count <= fewConnections * walksSaved ? [dumpConnections()] : filtered;
  let forgotten = 0;
  for (const listing of listings) {
    const what = `connections of ${[...addresses].join(", ")}`;
    forgotten += forget(socket, listing, what, (connection) =>
      connectionInvolves(connection, addresses),
    );
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

const udp = 17;

/**
 * Forgets the UDP connections that were addressed to one of these ports, so that a port's new owner gets what is sent
 * there from now on: a client that never pauses would keep its old way for ever. Returns how many.
 */
export function forgetUdpConnectionsTo(socket: NetlinkSocket, ports: ReadonlySet<number>): number {
  if (ports.size === 0 || countConnections(socket) === 0) return 0;
  const what = `UDP connections to ${[...ports].join(", ")}`;
  return forget(
    socket,
    dumpConnections(),
    what,
    ({ original }) => original.protocol === udp && ports.has(original.destinationPort),
  );
}

const datagrams: ReadonlyMap<number, DatagramConnection["protocol"]> = new Map([
  [udp, "udp"],
  [132, "sctp"],
]);

/** Forgets the UDP and SCTP connections that are meant, of both families. Returns how many. */
export function forgetDatagrams(
  socket: NetlinkSocket,
  isMeant: (connection: DatagramConnection) => boolean,
): number {
  if (countConnections(socket) === 0) return 0;
  return forget(socket, dumpConnections(), "UDP and SCTP connections", ({ original, reply }) => {
    const protocol = datagrams.get(original.protocol);
    if (protocol === undefined) return false;
    const { destination, destinationPort } = original;
    const { source: answerer, sourcePort: answererPort } = reply;
    return isMeant({ protocol, destination, destinationPort, answerer, answererPort });
  });
}

function forget(
  socket: NetlinkSocket,
  listing: NetlinkRequest,
  what: string,
  isMeant: (connection: Connection) => boolean,
): number {
  const found = doing("connection", `list ${what}`, () =>
    socket.dump(listing, (payload, type) => {
      const connection = decodeConnection(type, payload);
      return connection !== undefined && isMeant(connection) ? connection : undefined;
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
  }
  return found?.length ?? 0;
}

function countConnections(socket: NetlinkSocket): number {
  const count = doing("connection", "count connections", () =>
    socket.get(getConnectionCount(), decodeConnectionCount),
  );
  return count ?? 0;
}
