/**
 * Ketama-like consistent hashing: each host stands at many points of a ring, and a key belongs to the next point.
 *
 * A host that leaves hands its keys to the others and moves nobody else's; one that comes takes only what it keeps. The
 * price is evenness: with r points a host its share varies by about 1/√r. Building sorts the ring, picking searches it.
 */

import { hashText } from "./hash.ts";
import { compareHosts, hashedAs } from "./hashed-as.ts";
import type { Candidate, Picker } from "./picker.ts";

/** A ring may be so many times larger than it must be before its hosts get fewer points. */
const spread = 16;

/**
 * Points of the lightest host, which `hosts` like it would share the ring with. The same for all numbers of hosts up to
 * thirty-two, then a sixteenth of it up to five hundred, and so on: wherever it changes all hosts' points do, and with
 * them half of everybody's keys.
 */
function unitFor(minimum: number, hosts: number): number {
  const step = Math.max(2, Math.min(spread, maxRingSize / minimum));
  let unit = 2 ** Math.ceil(Math.log2(minimum)) / 2;
  while (unit > 1 && unit * hosts > step * minimum) unit = Math.max(1, Math.floor(unit / step));
  return Math.max(1, unit);
}

/** What a configuration may ask for: building takes about a second per million points. Envoy's limit is 8 Mi. */
const maxRingSize = 1_048_576;

/** In points of all hosts together. */
interface RingSizes {
  readonly minimumRingSize: number;
  readonly maximumRingSize?: number;
}

export function ringHash<C extends Candidate>(
  hosts: readonly C[],
  { minimumRingSize, maximumRingSize = maxRingSize }: RingSizes,
  randomHash: () => number,
): Picker<C> {
  const total = hosts.reduce((sum, host) => sum + host.weight, 0);
  const least = hosts.reduce((least, host) => Math.min(least, host.weight), total);
  const parts = total / least;
  const unit = Math.min(
    unitFor(Math.min(minimumRingSize, maxRingSize), parts),
    maximumRingSize / parts,
  );
  const points: { readonly at: number; readonly host: C }[] = [];
  for (const host of hosts) {
    // However small the ring may be, nobody is without a place on it.
    const count = Math.max(1, Math.min(maxRingSize, Math.floor((unit * host.weight) / least)));
    const name = hashedAs(host);
    for (let i = 0; i < count; i++) points.push({ at: hashText(`${name}_${i}`), host });
  }
  points.sort((a, b) => a.at - b.at || compareHosts(a.host, b.host));
  const at = Uint32Array.from(points, (point) => point.at);
  return {
    pick(key) {
      const hash = key ?? randomHash();
      let low = 0;
      let high = at.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((at[middle] ?? 0) < hash) low = middle + 1;
        else high = middle;
      }
      return points[low === at.length ? 0 : low]?.host;
    },
  };
}
