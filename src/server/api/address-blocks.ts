/**
 * Which blocks of pod addresses may exist: those that the Network's plan cuts its range into, and no other.
 *
 * Every node routes every block to the node that holds it. A block of another size or outside the range would draw
 * traffic that is not its holder's, so that a stolen node token could listen in on others; blocks of one size that
 * start where the plan says overlap only where they are the same, which their name rules out.
 */

import type { AddressBlock, Network } from "../../api/heddle/v1.ts";
import { type Resource, titleOf } from "../../api/resource.ts";
import { cidrContains, parseCidr } from "../../base/ip.ts";
import { defaultNetwork } from "../../core/registry/settings.ts";
import type { Store } from "../../store/store.ts";
import { InvalidObject } from "./invalid.ts";

/** Throws InvalidObject for a block that the plan does not have; other objects are none of its business. */
export async function checkAddressBlock(object: Resource, store: Store): Promise<void> {
  if (object.kind !== "AddressBlock") return;
  const network = await store.get({ kind: "Network", namespace: "", name: "default" });
  const { podCidr, blockPrefixLength } = ((network as Network | undefined) ?? defaultNetwork).spec;
  const { cidr } = (object as AddressBlock).spec;
  const { address, prefixLength } = parseCidr(cidr);
  if (prefixLength === blockPrefixLength && cidrContains(parseCidr(podCidr), address)) return;
  const message = `must be a /${blockPrefixLength} of ${podCidr}, got "${cidr}"`;
  throw new InvalidObject(titleOf(object), [{ path: "spec.cidr", message, severity: "error" }]);
}
