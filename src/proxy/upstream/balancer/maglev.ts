/**
 * Maglev hashing (Eisenbud et al., NSDI 2016, §3.4): a table in which every host fills slots in an order of its own.
 *
 * Shares are even to within a few slots, and a pick is one look-up. When a host leaves, its keys spread over the
 * others, and a few keys of others move as well: that is the trade against a ring. The size must be prime.
 */

import { hashText, mix } from "./hash.ts";
import { compareHosts, hashedAs } from "./hashed-as.ts";
import type { Candidate, Picker } from "./picker.ts";

export function maglev<C extends Candidate>(
  hosts: readonly C[],
  tableSize: number,
  randomHash: () => number,
): Picker<C> {
  const table = fill(hosts, tableSize);
  return { pick: (key) => hosts[table[mix(key ?? randomHash()) % tableSize] ?? 0] };
}

function fill(hosts: readonly Candidate[], size: number): Int32Array {
  const table = new Int32Array(size).fill(-1);
  // Whoever comes first takes a slot, so the order must be the hosts' own and not the configuration's.
  const order = [...hosts.entries()].sort(([, a], [, b]) => compareHosts(a, b));
  const heaviest = hosts.reduce((most, host) => Math.max(most, host.weight), 0);
  const offsets = hosts.map((host) => hashText(hashedAs(host), 1) % size);
  const skips = hosts.map((host) => (hashText(hashedAs(host), 2) % (size - 1)) + 1);
  const turns = new Float64Array(hosts.length);
  let filled = 0;
  for (let round = 1; filled < size; round++) {
    for (const [index, { weight }] of order) {
      // A host of half the weight takes a slot every second round.
      const due = Math.floor((round * weight) / heaviest);
      if ((turns[index] ?? 0) >= due || filled === size) continue;
      turns[index] = (turns[index] ?? 0) + 1;
      let slot = offsets[index] ?? 0;
      while (table[slot] !== -1) slot = (slot + (skips[index] ?? 1)) % size;
      table[slot] = index;
      offsets[index] = (slot + (skips[index] ?? 1)) % size;
      filled++;
    }
  }
  return table;
}
