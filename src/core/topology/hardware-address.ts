/**
 * Hardware addresses that follow from names, so that every node knows them before the device exists.
 *
 * All are locally administered unicast. The first octet tells whose: 02 for pods, 06 for the overlay's end points.
 */

import { hashHex } from "../../base/hash.ts";

/** The address of a node's VXLAN device. */
export function vtepMac(node: string): string {
  return macOf("06", `vtep/${node}`);
}

/** The address of a pod's interface; the same for the same attachment, so that a repeated ADD changes nothing. */
export function podMac(containerId: string, ifName: string): string {
  return macOf("02", `pod/${containerId}/${ifName}`);
}

function macOf(first: string, name: string): string {
  const digits = hashHex(name, 10);
  return [first, ...Array.from({ length: 5 }, (_, i) => digits.slice(2 * i, 2 * i + 2))].join(":");
}
