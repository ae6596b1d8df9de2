/**
 * What a node that has no address left takes next: more of its own blocks, else a new block, else part of another's.
 *
 * Blocks are claimed by the quarter. A new one starts with half of it claimed, so that most nodes never write again,
 * and what an owner does not need can be lent when nothing else is left. Owners claim from the front and borrowers
 * from the back. Reserved addresses are never claimed here: pods that ask for one by name claim it alone.
 */

import { blockName } from "../../api/heddle/block-name.ts";
import type { AddressBlock } from "../../api/heddle/v1.ts";
import {
  addressBits,
  type Cidr,
  familyOf,
  parseCidr,
  renderCidr,
  subnetAt,
} from "../../base/ip.ts";
import { chooseBlock } from "./choose.ts";
import { blockCidr, unclaimed } from "./claims.ts";
import type { Pool } from "./pools.ts";
import { covers, merged, within, without } from "./prefixes.ts";

export type Growth =
  /** Claim these parts of a block that is there. */
  | { readonly kind: "claim"; readonly block: AddressBlock; readonly parts: readonly Cidr[] }
  /** Create this block. */
  | { readonly kind: "create"; readonly block: AddressBlock };

/** Undefined where the pool has nothing left for the node. `blocks` are all there are, of whatever pool. */
export function nextGrowth(
  pool: Pool,
  blocks: readonly AddressBlock[],
  node: string,
  reserved: readonly Cidr[],
): Growth | undefined {
  if (pool.disabled) return undefined;
  const inPool = blocks.filter((block) => covers(pool.cidr, blockCidr(block)));
  const own = inPool.filter((block) => block.spec.node === node);
  for (const block of own) {
    const parts = firstQuarter(block, quartersOf(block), reserved);
    if (parts !== undefined) return { kind: "claim", block, parts };
  }
  const created = newBlock(pool, blocks, node, reserved);
  if (created !== undefined) return { kind: "create", block: created };
  if (pool.strictAffinity) return undefined;
  for (const block of inPool) {
    const parts = firstQuarter(block, quartersOf(block).toReversed(), reserved);
    if (parts !== undefined) return { kind: "claim", block, parts };
  }
  return undefined;
}

/** The first quarter of which anything can be claimed. */
function firstQuarter(
  block: AddressBlock,
  quarters: readonly Cidr[],
  reserved: readonly Cidr[],
): readonly Cidr[] | undefined {
  const free = unclaimed(block);
  return quarters
    .map((quarter) => within(quarter, free).flatMap((part) => without(part, reserved)))
    .find((parts) => parts.length > 0);
}

function newBlock(
  pool: Pool,
  blocks: readonly AddressBlock[],
  node: string,
  reserved: readonly Cidr[],
): AddressBlock | undefined {
  const taken = new Set(blocks.map((block) => block.spec.cidr));
  for (;;) {
    const cidr = chooseBlock(pool.cidr, pool.blockPrefixLength, taken, node);
    if (cidr === undefined) return undefined;
    const parts = initialParts(cidr, pool.strictAffinity, reserved);
    if (parts.length > 0) return addressBlock(cidr, node, parts);
    taken.add(renderCidr(cidr)); // all of it is reserved
  }
}

/** An object that takes the block for the node by being created. */
export function addressBlock(cidr: Cidr, node: string, parts: readonly Cidr[]): AddressBlock {
  return {
    apiVersion: "heddle.dev/v1",
    kind: "AddressBlock",
    metadata: { name: blockName(cidr) },
    spec: {
      cidr: renderCidr(cidr),
      node,
      claims: parts.map((part) => ({ cidr: renderCidr(part), node })),
    },
  };
}

function initialParts(cidr: Cidr, strict: boolean, reserved: readonly Cidr[]): readonly Cidr[] {
  if (strict) return without(cidr, reserved);
  const usable = quarters(cidr)
    .map((quarter) => without(quarter, reserved))
    .filter((parts) => parts.length > 0);
  return merged(usable.slice(0, 2).flat());
}

function quartersOf(block: AddressBlock): readonly Cidr[] {
  return quarters(parseCidr(block.spec.cidr));
}

/** Fewer where the block has fewer addresses. */
export function quarters(cidr: Cidr): readonly Cidr[] {
  const length = Math.min(cidr.prefixLength + 2, addressBits[familyOf(cidr.address)]);
  const count = 2 ** (length - cidr.prefixLength);
  return Array.from({ length: count }, (_, index) => subnetAt(cidr, length, index));
}
