/**
 * What a node holds and need not: parts to give back, so that others find them.
 *
 * Reserved addresses that no pod has go back always. Of the rest whole idle quarters go, borrowed ones first, as long
 * as enough free addresses stay for the next pods; a block of which nobody holds anything goes with the last of them.
 * "Idle" is for the caller to have seen for a while: an address that a pod has, or that still cools down, is busy.
 */

import type { AddressBlock } from "../../api/heddle/v1.ts";
import { type Cidr, cidrContains, cidrSize, hostCidr, parseCidr } from "../../base/ip.ts";
import { claimants, claimedBy } from "./claims.ts";
import { quarters } from "./growth.ts";
import { within, without } from "./prefixes.ts";

export interface Surplus {
  readonly block: AddressBlock;
  readonly parts: readonly Cidr[];
}

/** A node keeps so many free addresses where it has them: bursts of pods then need no new claim. */
const keptFree = 32;

export function surplus(
  blocks: readonly AddressBlock[],
  node: string,
  busy: ReadonlySet<string>,
  reserved: readonly Cidr[],
): readonly Surplus[] {
  const own = blocks.filter((block) => claimants(block).includes(node));
  const given = new Map<AddressBlock, Cidr[]>();
  const give = (block: AddressBlock, parts: readonly Cidr[]) => {
    given.set(block, [...(given.get(block) ?? []), ...parts]);
  };
  for (const block of own) give(block, idleReserved(block, node, busy, reserved));
  let free = 0;
  const idle: { readonly block: AddressBlock; readonly parts: readonly Cidr[] }[] = [];
  for (const block of borrowedLast(own, node)) {
    for (const quarter of quarters(parseCidr(block.spec.cidr))) {
      const parts = within(quarter, claimedBy(block, node)).flatMap((part) =>
        without(part, given.get(block) ?? []),
      );
      const used = countIn(parts, busy);
      if (parts.length === 0) continue;
      free += size(parts) - used;
      if (used === 0) idle.push({ block, parts });
    }
  }
  for (const { block, parts } of idle.toReversed()) {
    if (free - size(parts) < keptFree) continue;
    free -= size(parts);
    give(block, parts);
  }
  return [...given].flatMap(([block, parts]) => (parts.length === 0 ? [] : { block, parts }));
}

function idleReserved(
  block: AddressBlock,
  node: string,
  busy: ReadonlySet<string>,
  reserved: readonly Cidr[],
): readonly Cidr[] {
  const busyHere = [...busy].filter((address) => cidrContains(parseCidr(block.spec.cidr), address));
  return claimedBy(block, node)
    .flatMap((held) => within(held, reserved))
    .flatMap((part) => without(part, busyHere.map(hostCidr)));
}

function borrowedLast(blocks: readonly AddressBlock[], node: string): readonly AddressBlock[] {
  return [
    ...blocks.filter((block) => block.spec.node === node),
    ...blocks.filter((block) => block.spec.node !== node),
  ];
}

function countIn(parts: readonly Cidr[], addresses: ReadonlySet<string>): number {
  let count = 0;
  for (const address of addresses) if (parts.some((part) => cidrContains(part, address))) count++;
  return count;
}

function size(parts: readonly Cidr[]): number {
  return parts.reduce((sum, part) => sum + cidrSize(part), 0);
}
