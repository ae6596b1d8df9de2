/**
 * Which block a node takes next, and which address of its blocks a pod gets.
 *
 * Pure choices over what is taken; who holds what is decided elsewhere, by creating the AddressBlock object and by the
 * node's own records. Every address of a block is used, the first and the last included: pods have /32 addresses and a
 * link-local gateway, so a block is never a subnet on a link, and there is neither a network nor a broadcast address.
 */

import { hashText } from "../../base/hash.ts";
import { addressAt, type Cidr, cidrSize, parseCidr, renderCidr, subnetAt } from "../../base/ip.ts";
import { covers, overlaps, without } from "./prefixes.ts";

/**
 * The first block of the network that overlaps none of the taken ones (CIDR texts); undefined when all are taken.
 * `seed`, e.g. the node's name, says where the search begins: nodes that search at the same time then seldom meet.
 */
export function chooseBlock(
  network: Cidr,
  prefixLength: number,
  taken: ReadonlySet<string>,
  seed?: string,
): Cidr | undefined {
  if (prefixLength < network.prefixLength) return undefined;
  const count = 2 ** (prefixLength - network.prefixLength);
  // Those of the same length are found by name. A larger one covers several places, a smaller one part of one.
  const others = [...taken]
    .map(parseCidr)
    .filter((block) => block.prefixLength !== prefixLength && overlaps(block, network));
  if (others.some((block) => covers(block, network))) return undefined;
  const start = seed === undefined ? 0 : hashText(seed) % Math.min(count, 2 ** 32);
  const occupied = others.reduce((sum, block) => sum + placesIn(block, prefixLength), taken.size);
  for (let step = 0; step < count && step <= occupied; step++) {
    const block = subnetAt(network, prefixLength, (start + step) % count);
    if (!taken.has(renderCidr(block)) && !others.some((other) => overlaps(other, block))) {
      return block;
    }
  }
  return undefined;
}

function placesIn(block: Cidr, prefixLength: number): number {
  return 2 ** Math.max(0, prefixLength - block.prefixLength);
}

/**
 * A free address: the lowest that is neither in use nor cooling down nor in a skipped part; undefined when there is
 * none.
 */
export function chooseAddress(
  parts: readonly Cidr[],
  inUse: ReadonlySet<string>,
  cooling: readonly string[],
  skipped: readonly Cidr[] = [],
): string | undefined {
  const avoided = new Set(cooling);
  for (const part of parts.flatMap((each) => without(each, skipped))) {
    for (let index = 0; index < cidrSize(part); index++) {
      const address = addressAt(part, index);
      if (!inUse.has(address) && !avoided.has(address)) return address;
    }
  }
  return undefined;
}
