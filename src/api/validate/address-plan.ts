/** Pools, reservations and blocks: the parts of the address plan beside the Network itself. */

import { addressBits, cidrContains, familyOf, parseCidr, renderCidr } from "../../base/ip.ts";
import { blockName } from "../heddle/block-name.ts";
import type { AddressBlock, AddressPool } from "../heddle/v1.ts";
import { cidr } from "./address.ts";
import { type Check, type Place, refine } from "./schema/check.ts";
import { list, record } from "./schema/record.ts";
import { boolean, integer, nonEmpty } from "./schema/scalar.ts";
import { labelSelector } from "./selector.ts";

/** One text for one prefix: no bits beyond its length, IPv6 in its shortest form. */
export const canonicalCidr: Check = refine<string>(cidr, (value, at) => {
  const wanted = renderCidr(parseCidr(value));
  if (wanted === value) return;
  const why =
    familyOf(value) === "IPv4" ? "have no bits beyond its prefix" : "be in canonical form";
  at.error(`must ${why}: ${wanted}, got "${value}"`);
});

/** Blocks have 4 to 4096 addresses: fewer are not worth a route, more not worth keeping from others. */
export function checkBlockLength(pool: string, length: number, at: Place): void {
  const { address, prefixLength } = parseCidr(pool);
  const bits = addressBits[familyOf(address)];
  const least = Math.max(prefixLength, bits - 12);
  if (length < least || length > bits - 2) {
    at.error(`must be ${least}..${bits - 2} for blocks of ${pool}, got ${length}`);
  }
}

export const addressPoolSpec: Check = refine<AddressPool["spec"]>(
  record({
    "cidr!": canonicalCidr,
    blockPrefixLength: integer(0, 128),
    nodeSelector: labelSelector,
    namespaceSelector: labelSelector,
    disabled: boolean,
    strictAffinity: boolean,
    masquerade: boolean,
  }),
  ({ cidr: pool, blockPrefixLength }, at) => {
    if (blockPrefixLength !== undefined) {
      checkBlockLength(pool, blockPrefixLength, at.field("blockPrefixLength"));
    } else if (parseCidr(pool).prefixLength > addressBits[familyOf(pool)] - 2) {
      at.field("cidr").error(`must have 4 addresses or more, got "${pool}"`);
    }
  },
);

/** The Network's own range has that name. */
export function addressPoolName(pool: unknown, at: Place): void {
  const { metadata } = pool as AddressPool; // Only asked of pools of the right shape.
  if (metadata.name !== "default") return;
  at.field("metadata").field("name").error('must not be "default": that is podCidr of the Network');
}

export const addressReservationSpec: Check = record({ "cidrs!": list(canonicalCidr, 1) });

export const addressBlockSpec: Check = refine<AddressBlock["spec"]>(
  record({
    "cidr!": canonicalCidr,
    "node!": nonEmpty,
    claims: list(record({ "cidr!": canonicalCidr, "node!": nonEmpty })),
    released: boolean,
  }),
  (spec, at) => {
    const block = parseCidr(spec.cidr);
    const claims = (spec.claims ?? []).map((claim) => parseCidr(claim.cidr));
    for (const [index, claim] of claims.entries()) {
      const where = at.field("claims").item(index).field("cidr");
      const isInside =
        claim.prefixLength >= block.prefixLength && cidrContains(block, claim.address);
      if (!isInside) where.error(`must be part of ${spec.cidr}, got "${renderCidr(claim)}"`);
      const other = claims
        .slice(0, index)
        .find((each) => cidrContains(each, claim.address) || cidrContains(claim, each.address));
      if (other !== undefined) {
        where.error(`must not overlap claim ${renderCidr(other)}, got "${renderCidr(claim)}"`);
      }
    }
  },
);

/** A block's name is its CIDR, so that two nodes cannot create the same one. */
export function addressBlockName(block: unknown, at: Place): void {
  const { metadata, spec } = block as AddressBlock; // Only asked of blocks of the right shape.
  const wanted = blockName(parseCidr(spec.cidr));
  if (metadata.name !== wanted) {
    const where = at.field("metadata").field("name");
    where.error(`must be "${wanted}" as its cidr, got "${metadata.name}"`);
  }
}
