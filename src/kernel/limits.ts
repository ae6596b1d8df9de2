/**
 * Sets how fast a link's end may send: a token bucket at its root.
 *
 * Both directions of a pod are limited where the packets begin: towards the pod on the node's end of the link, from
 * the pod on the pod's own. A sender there is held back by a full queue before it has spent anything, where a queue
 * behind the link (an ifb device) can only drop; and nothing exists beside the link that could outlive it. The price:
 * a container with CAP_NET_ADMIN in its own namespace can lift what limits its own sending. CHECK says so.
 *
 * A limit is given at ADD and never changed. A queue that is not ours to set (a chained plugin's) is left alone.
 */

import type { Rate } from "../model/node-view.ts";
import {
  decodeQueue,
  decodeTokenBucket,
  dumpQueues,
  replaceTokenBucket,
} from "../wire/netlink/queue.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { doing } from "./refusal.ts";

export function setLimit(
  socket: NetlinkSocket,
  link: { readonly index: number; readonly what: string },
  rate: Rate,
): void {
  doing("queue", `limit ${link.what} to ${rate.bitsPerSecond} bit/s`, () =>
    socket.request(replaceTokenBucket(link.index, rate)),
  );
}

/** Bits per second by link index, for every link that has a limit. */
export function listLimits(socket: NetlinkSocket): ReadonlyMap<number, number> {
  const buckets = doing("queue", "list queues", () => socket.dump(dumpQueues(), decodeTokenBucket));
  return new Map(buckets?.map((each) => [each.linkIndex, each.bitsPerSecond]));
}

/** Kinds of what each link has for queues and filters, by link index; links without any are not in it. */
export function listQueueKinds(socket: NetlinkSocket): ReadonlyMap<number, readonly string[]> {
  const queues = doing("queue", "list queues", () => socket.dump(dumpQueues(), decodeQueue)) ?? [];
  const kinds = new Map<number, string[]>();
  for (const { linkIndex, kind } of queues) {
    if (kind !== "noqueue") kinds.set(linkIndex, [...(kinds.get(linkIndex) ?? []), kind]);
  }
  return kinds;
}
