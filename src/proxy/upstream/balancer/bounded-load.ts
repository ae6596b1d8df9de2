/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam; arXiv 1608.01350), over a ring or a table.
 *
 * With `m` requests under way and one more to come, a host of the part `w` of all weight takes no more than
 * `⌈c · (m + 1) · w⌉` of them, `c` being the percentage over 100. A key stays where it belongs while there is room. What
 * finds none goes to the next in an order of the key's own: were it the ring's next host, one full host would fill its
 * neighbour, and that one the next (arXiv 1908.08762). Hosts that come or go change nobody else's place in that order.
 *
 * A pick looks at what every host has under way: that is its price.
 */

import { hashText, mix } from "./hash.ts";
import { compareHosts, hashedAs } from "./hashed-as.ts";
import type { Candidate, Picker } from "./picker.ts";

export function boundedLoad<C extends Candidate>(
  owners: Picker<C>,
  hosts: readonly C[],
  percent: number,
  randomHash: () => number,
): Picker<C> {
  const weights = hosts.reduce((sum, { weight }) => sum + weight, 0);
  const inOrder = hosts.toSorted(compareHosts); // the first of those that hash alike comes first everywhere
  const places = inOrder.map((host) => hashText(hashedAs(host), 3));
  return {
    pick(key = randomHash()) {
      const owner = owners.pick(key);
      const requests = hosts.reduce((sum, { active }) => sum + active, 1);
      const perWeight = (requests * percent) / 100 / weights;
      const hasRoom = (host: C) => host.active < Math.ceil(perWeight * host.weight);
      if (owner === undefined || hasRoom(owner)) return owner;
      let next = owner;
      let highest = -1;
      for (let i = 0; i < inOrder.length; i++) {
        const host = inOrder[i];
        const place = mix(key ^ (places[i] ?? 0));
        if (host === undefined || place <= highest || !hasRoom(host)) continue;
        [next, highest] = [host, place];
      }
      return next;
    },
  };
}
