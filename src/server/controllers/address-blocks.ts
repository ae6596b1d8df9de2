/**
 * Takes back what a node that is gone held of the address plan: its claims, and blocks that nobody claims any more.
 *
 * A node registers before it takes anything, so a holder without a Node object is one that has left. Blocks of which
 * others still hold parts go on with one of those as their owner; they are routed by claims, so nothing moves. What a
 * running agent loses this way it claims again, because it looks at its blocks now and then.
 */

import type { AddressBlock } from "../../api/heddle/v1.ts";
import { claimants, claimedBy, unclaim } from "../../core/ipam/claims.ts";
import { objectNamed, objectsOf, type World } from "../../core/registry/world.ts";
import type { Controller, Write } from "./controller.ts";

export const addressBlocks: Controller = {
  name: "address-blocks",
  reads: ["Node", "AddressBlock"],
  reconcile(world) {
    return {
      writes: objectsOf<AddressBlock>(world, "AddressBlock").flatMap((block) =>
        writesFor(block, world),
      ),
    };
  },
};

function writesFor(block: AddressBlock, world: World): readonly Write[] {
  const isGone = (node: string) => objectNamed(world, "Node", "", node) === undefined;
  const gone = claimants(block).filter(isGone);
  const { node, claims, released } = block.spec;
  if (claims === undefined) return isGone(node) ? [{ verb: "delete", object: block }] : [];
  const left = gone.reduce((rest, each) => unclaim(rest, each, claimedBy(rest, each)), block);
  const [heir] = claimants(left);
  if (heir === undefined && (isGone(node) || released === true)) return closing(block, left);
  const owner = isGone(node) ? (heir ?? node) : node;
  if (gone.length === 0 && owner === node) return [];
  return [updated(left, { node: owner })];
}

function updated(block: AddressBlock, change: Partial<AddressBlock["spec"]>): Write {
  const object: AddressBlock = { ...block, spec: { ...block.spec, ...change } };
  return { verb: "update", object };
}

/** First nobody may claim of it any more, then, in the World after that, it goes. */
function closing(block: AddressBlock, left: AddressBlock): readonly Write[] {
  if (block.spec.released === true && claimants(block).length === 0) {
    return [{ verb: "delete", object: block }];
  }
  return [updated(left, { released: true })];
}
