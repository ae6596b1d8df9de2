/**
 * Maglev's look-up table (Eisenbud et al., NSDI 2016, §3.4): every endpoint fills slots in an order of its own, in
 * turns, so that the slots are shared equally and an endpoint's going moves little but its own slots.
 *
 * Equal endpoints give equal tables on every node: a client that arrives at another node reaches the same endpoint.
 * Weights are turns: an endpoint of weight 3 takes three slots each round.
 */

import { hashText } from "../../../base/hash.ts";

/** Primes; the table has at least 25 slots for each turn, which keeps shares within about 4 % of each other. */
const sizes = [251, 509, 1021, 2039, 4093, 8191] as const;
const slotsPerTurn = 25;

export function maglevSize(turns: number): number {
  return sizes.find((size) => size >= turns * slotsPerTurn) ?? 8191;
}

/** For each slot the index of its endpoint. Names must be distinct; turns are whole numbers, not all 0. */
export function maglevTable(
  members: readonly { readonly name: string; readonly turns: number }[],
  size: number,
): readonly number[] {
  const table = new Array<number>(size).fill(-1);
  const places = members.map(({ name }) => {
    const offset = hashText(`${name} offset`) % size;
    const skip = (hashText(`${name} skip`) % (size - 1)) + 1;
    return { next: offset, skip };
  });
  let filled = 0;
  while (filled < size) {
    for (const [index, { turns }] of members.entries()) {
      const place = places[index];
      if (place === undefined) continue;
      for (let turn = 0; turn < turns && filled < size; turn++) {
        while (table[place.next] !== -1) place.next = (place.next + place.skip) % size;
        table[place.next] = index;
        filled += 1;
      }
    }
  }
  return table;
}
