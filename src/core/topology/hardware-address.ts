/**
 * Hardware addresses that follow from names, so that every node knows them before the device exists.
 *
 * All are locally administered unicast. The first octet tells whose: 02 for pods, 06 for the overlay's end points.
 */

import { hashHex } from "../../base/hash.ts";
import { canonicalIp } from "../../base/ip.ts";

/** The address of a node's VXLAN device. */
export function vtepMac(node: string): string {
  return macAddress("06", `vtep/${node}`);
}

/** The link-local address of an overlay's end point: `fe80::` and the hardware address as it is. */
export function linkLocalOf(mac: string): string {
  const [a, b, c, d, e, f] = mac.split(":");
  return canonicalIp(`fe80::${a}${b}:${c}${d}:${e}${f}`);
}

/** Five octets of the name's hash behind a first octet that tells the kind of owner. */
export function macAddress(first: "02" | "06", name: string): string {
  const digits = hashHex(name, 10);
  return [first, ...Array.from({ length: 5 }, (_, i) => digits.slice(2 * i, 2 * i + 2))].join(":");
}
