/**
 * What a pod's link is called and which hardware address the pod has on it.
 *
 * Both follow from the attachment (container and interface name), never from the address: a repeated ADD finds its own
 * link, and an address that has gone to another pod leads nobody to the wrong one.
 */

import { hashHex } from "../../base/hash.ts";
import { linkPrefix } from "../../model/names.ts";
import { macAddress } from "../topology/hardware-address.ts";

/** Host side of an attachment: `hd` and ten hex digits. */
export function hostLinkName(containerId: string, ifName: string): string {
  return linkPrefix + hashHex(`link/${containerId}/${ifName}`, 10);
}

/** The pod's side. */
export function podMac(containerId: string, ifName: string): string {
  return macAddress("02", `pod/${containerId}/${ifName}`);
}
