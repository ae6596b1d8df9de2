/**
 * Refused packets as counts: by their two ends, port and reason, with pods' names for their addresses.
 *
 * So many are told apart in one report; the rest is counted together.
 */

import { explainDrop } from "../../core/dataplane/drop-reason.ts";
import { parseDrop } from "../../core/dataplane/names.ts";
import { dropKey } from "../../core/traffic/sum.ts";
import type { NodeView } from "../../model/node-view.ts";
import type { DropCounts } from "../../model/observation.ts";
import type { LoggedPacket } from "../../wire/netlink/nflog.ts";

const maxKinds = 250;

/** Packets that rules of others logged are left out. */
export function countDrops(
  packets: readonly LoggedPacket[],
  view: NodeView | undefined,
): readonly DropCounts[] {
  const pods = packets.length === 0 ? new Map<string, string>() : podsByAddress(view);
  const counts = new Map<string, DropCounts>();
  for (const { prefix, source, destination, port, protocol } of packets) {
    const drop = parseDrop(prefix);
    if (drop === undefined) continue;
    const ends = {
      source: pods.get(source) ?? source,
      destination: pods.get(destination) ?? destination,
    };
    const one = { ...ends, port, protocol, ...explainDrop(drop, view), packets: 1 };
    let key = dropKey(one);
    let named = one;
    if (!counts.has(key) && counts.size >= maxKinds) {
      named = {
        ...one,
        source: overflow,
        destination: overflow,
        port: 0,
        reason: "",
        policies: [],
      };
      key = dropKey(named);
    }
    const known = counts.get(key);
    counts.set(key, known === undefined ? named : { ...known, packets: known.packets + 1 });
  }
  return [...counts.values()];
}

const overflow = "overflow";

function podsByAddress(view: NodeView | undefined): ReadonlyMap<string, string> {
  return new Map(
    (view?.workloads ?? []).flatMap(({ addresses, namespace, name }) =>
      addresses.map((address) => [address, `${namespace}/${name}`] as const),
    ),
  );
}
