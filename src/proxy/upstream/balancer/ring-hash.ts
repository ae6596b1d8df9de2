/**
 * Ketama-like consistent hashing: each host stands at many points of a ring, and a key belongs to the next point.
 *
 * A host that leaves hands its keys to the others and moves nobody else's; one that comes takes only what it keeps. The
 * price is evenness: with r points a host its share varies by about 1/√r. Building sorts the ring, picking searches it.
 */

import { hashText } from "./hash.ts";
import type { Candidate, Picker } from "./picker.ts";

/** What a configuration may ask for: building takes about a second per million points. Envoy's limit is 8 Mi. */
const maxRingSize = 1_048_576;

export function ringHash<C extends Candidate>(
  hosts: readonly C[],
  minimumRingSize: number,
  randomHash: () => number,
): Picker<C> {
  const total = hosts.reduce((sum, host) => sum + host.weight, 0);
  const least = hosts.reduce((least, host) => Math.min(least, host.weight), total);
  const share = (Math.min(minimumRingSize, maxRingSize) * least) / total;
  // Points of the lightest host. A power of two, so that it stays the same while hosts come and go: were it just the
  // share, each change would add points of all hosts, or take some away, and move everybody's keys.
  const unit = 2 ** Math.max(0, Math.ceil(Math.log2(share)));
  const points: { readonly at: number; readonly host: C }[] = [];
  for (const host of hosts) {
    const count = Math.min(maxRingSize, Math.round((unit * host.weight) / least));
    for (let i = 0; i < count; i++) points.push({ at: hashText(`${host.key}_${i}`), host });
  }
  // Two hosts at one point: the order of the configuration must not decide.
  points.sort((a, b) => a.at - b.at || (a.host.key < b.host.key ? -1 : 1));
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
