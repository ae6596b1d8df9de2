/**
 * Who holds which part of an address block.
 *
 * A block belongs to the node that created its object, which is where others route it; the addresses in it belong to
 * whoever claims them. The owner claims parts as it needs them, and a node for which no block is left claims parts of
 * what an owner has not: that is borrowing. A claim is a write of the whole object at the version that was read, so two
 * nodes never hold one address, and none has to be asked. Inside its claims a node alone decides.
 *
 * A block without a list of claims is its node's as a whole. A `released` block is about to be deleted: nobody may
 * claim of it any more.
 */

import type { AddressBlock } from "../../api/heddle/v1.ts";
import { type Cidr, parseCidr, renderCidr } from "../../base/ip.ts";
import { merged, without } from "./prefixes.ts";

export function blockCidr(block: AddressBlock): Cidr {
  return parseCidr(block.spec.cidr);
}

/** What the node may give to its pods, in order. */
export function claimedBy(block: AddressBlock, node: string): readonly Cidr[] {
  const { claims } = block.spec;
  if (claims === undefined) return block.spec.node === node ? [blockCidr(block)] : [];
  return claims.filter((claim) => claim.node === node).map(({ cidr }) => parseCidr(cidr));
}

/** Every node that holds part of the block, each once, in order. */
export function claimants(block: AddressBlock): readonly string[] {
  const { claims, node } = block.spec;
  return claims === undefined ? [node] : [...new Set(claims.map((claim) => claim.node))].sort();
}

/** What nobody claims and somebody may. */
export function unclaimed(block: AddressBlock): readonly Cidr[] {
  const { claims, released } = block.spec;
  if (claims === undefined || released === true) return [];
  return without(
    blockCidr(block),
    claims.map(({ cidr }) => parseCidr(cidr)),
  );
}

/** The block with `parts` claimed by the node as well. */
export function claim(block: AddressBlock, node: string, parts: readonly Cidr[]): AddressBlock {
  return withClaims(block, node, merged([...claimedBy(block, node), ...parts]));
}

/** The block with `parts` no longer claimed by the node. */
export function unclaim(block: AddressBlock, node: string, parts: readonly Cidr[]): AddressBlock {
  return withClaims(
    block,
    node,
    claimedBy(block, node).flatMap((held) => without(held, parts)),
  );
}

function withClaims(block: AddressBlock, node: string, own: readonly Cidr[]): AddressBlock {
  const others = (block.spec.claims ?? []).filter((each) => each.node !== node);
  const claims = [...others, ...own.map((cidr) => ({ cidr: renderCidr(cidr), node }))];
  return { ...block, spec: { ...block.spec, claims } };
}

/** Who is to get packets for the addresses of which blocks: the most specific prefix counts. */
export interface Holding {
  readonly cidr: Cidr;
  readonly node: string;
}

/** The block by way of its node, and what others claim of it by way of them. */
export function holdings(block: AddressBlock): readonly Holding[] {
  const whole = { cidr: blockCidr(block), node: block.spec.node };
  const borrowed = claimants(block)
    .filter((node) => node !== block.spec.node)
    .flatMap((node) => claimedBy(block, node).map((cidr) => ({ cidr, node })));
  const isWhole = borrowed.some(({ cidr }) => cidr.prefixLength === whole.cidr.prefixLength);
  return isWhole ? borrowed : [whole, ...borrowed];
}
