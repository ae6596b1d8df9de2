/**
 * What an address plan may not be, in the light of what else is stored: blocks outside every pool, pools that overlap.
 *
 * Every node routes every block to the node that holds it. A block of another size or outside the pools would draw
 * traffic that is not its holder's, so that a stolen node token could listen in on others; blocks of one size that
 * start where the plan says overlap only where they are the same, which their name rules out.
 */

import type { AddressBlock, AddressPool, Network } from "../../api/heddle/v1.ts";
import { type Resource, titleOf } from "../../api/resource.ts";
import { type Cidr, parseCidr, renderCidr } from "../../base/ip.ts";
import { type Pool, poolsOf } from "../../core/ipam/pools.ts";
import { covers, overlaps } from "../../core/ipam/prefixes.ts";
import { defaultNetwork, parseCidrs } from "../../core/registry/settings.ts";
import type { Store } from "../../store/store.ts";
import { InvalidObject } from "./invalid.ts";

/** Throws InvalidObject for a block or pool that the plan does not allow; other objects are none of its business. */
export async function checkAddressPlan(
  object: Resource,
  store: Store,
  current?: Resource,
): Promise<void> {
  if (object.kind === "AddressPool") {
    const pool = object as AddressPool; // The kind says so, here and below.
    const before = (current as AddressPool | undefined)?.spec.cidr;
    if (before !== undefined && before !== pool.spec.cidr) {
      refuse(pool, "spec.cidr", `must stay "${before}", got "${pool.spec.cidr}"`);
    }
    if (current === undefined) await checkPool(pool, store);
  }
  // A block's cidr is its name: it cannot change, and it stays when its pool goes.
  if (object.kind === "AddressBlock" && current === undefined) {
    await checkBlock(object as AddressBlock, store);
  }
}

async function checkBlock(block: AddressBlock, store: Store): Promise<void> {
  const { pools } = await readPlan(store);
  const cidr = parseCidr(block.spec.cidr);
  const fits = pools.some(
    (pool) => cidr.prefixLength === pool.blockPrefixLength && covers(pool.cidr, cidr),
  );
  if (fits) return;
  const wanted = pools.map((pool) => `a /${pool.blockPrefixLength} of ${renderCidr(pool.cidr)}`);
  refuse(block, "spec.cidr", `must be ${wanted.join(" or ")}, got "${block.spec.cidr}"`);
}

async function checkPool(pool: AddressPool, store: Store): Promise<void> {
  const { pools, network } = await readPlan(store);
  const cidr = parseCidr(pool.spec.cidr);
  const other = pools.find((each) => each.name !== pool.metadata.name && overlaps(each.cidr, cidr));
  const taken = (what: string, of: Cidr) =>
    refuse(
      pool,
      "spec.cidr",
      `must not overlap ${what} ${renderCidr(of)}, got "${pool.spec.cidr}"`,
    );
  if (other !== undefined) taken(`pool ${other.name}`, other.cidr);
  const services = parseCidrs(network.spec.serviceCidr).find((each) => overlaps(each, cidr));
  if (services !== undefined) taken("serviceCidr", services);
}

async function readPlan(
  store: Store,
): Promise<{ readonly network: Network; readonly pools: readonly Pool[] }> {
  const stored = await store.get({ kind: "Network", namespace: "", name: "default" });
  const network = (stored as Network | undefined) ?? defaultNetwork;
  const { objects } = await store.list("AddressPool");
  return { network, pools: poolsOf(network, objects as readonly AddressPool[]) };
}

function refuse(object: Resource, path: string, message: string): never {
  throw new InvalidObject(titleOf(object), [{ path, message, severity: "error" }]);
}
