/**
 * Which block a node takes next, and which address of its blocks a pod gets.
 *
 * Pure choices over what is taken; who holds what is decided elsewhere, by creating the AddressBlock object and by the
 * node's own records. Every address of a block is used, the first and the last included: pods have /32 addresses and a
 * link-local gateway, so a block is never a subnet on a link, and there is neither a network nor a broadcast address.
 */

import { hashText } from "../../base/hash.ts";
import {
  addressAt,
  type Cidr,
  cidrSize,
  parseCidr,
  parseIpv4,
  renderCidr,
  subnetAt,
} from "../../base/ip.ts";

/** Name of the AddressBlock object: creating it is taking the block. */
export function blockName(block: Cidr): string {
  return `${block.address}-${block.prefixLength}`;
}

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
  const occupied = occupiedIndices(network, prefixLength, taken);
  const start = seed === undefined ? 0 : hashText(seed) % count;
  for (let step = 0; step < count; step++) {
    const index = (start + step) % count;
    if (!occupied.has(index)) return subnetAt(network, prefixLength, index);
  }
  return undefined;
}

/**
 * A free address: the lowest that is neither in use nor cooling down; undefined when there is none.
 * Where only cooling addresses are left and one must be given, the caller leaves the one released longest ago out of
 * `cooling`: an address is then reused as late as can be.
 */
export function chooseAddress(
  blocks: readonly Cidr[],
  inUse: ReadonlySet<string>,
  cooling: readonly string[],
): string | undefined {
  const avoided = new Set(cooling);
  for (const block of blocks) {
    for (let index = 0; index < cidrSize(block); index++) {
      const address = addressAt(block, index);
      if (!inUse.has(address) && !avoided.has(address)) return address;
    }
  }
  return undefined;
}

/** Blocks may have been taken with another length: a larger one covers several indices, a smaller one part of one. */
function occupiedIndices(
  network: Cidr,
  prefixLength: number,
  taken: ReadonlySet<string>,
): ReadonlySet<number> {
  const size = 2 ** (32 - prefixLength);
  const base = parseIpv4(network.address);
  const occupied = new Set<number>();
  for (const text of taken) {
    const block = parseCidr(text);
    const first = parseIpv4(block.address) - base;
    const last = Math.min(first + cidrSize(block), cidrSize(network)) - 1;
    for (
      let index = Math.floor(Math.max(first, 0) / size);
      index <= Math.floor(last / size);
      index++
    ) {
      occupied.add(index);
    }
  }
  return occupied;
}

/** Texts of blocks, the form `chooseBlock` takes them in. */
export function blockTexts(blocks: Iterable<Cidr>): ReadonlySet<string> {
  return new Set(Array.from(blocks, renderCidr));
}
