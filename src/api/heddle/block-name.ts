/**
 * The name of an AddressBlock: its CIDR, so that creating the object is taking the block and nobody can take it twice.
 *
 * Names of objects have no colons, so IPv6 is written at full length with hyphens:
 * `fd00-0000-0000-0000-0000-0000-0000-0040-122`.
 */

import { type Cidr, parseIp } from "../../base/ip.ts";

export function blockName({ address, prefixLength }: Cidr): string {
  const { family, value } = parseIp(address);
  if (family === "IPv4") return `${address}-${prefixLength}`;
  const groups = value.toString(16).padStart(32, "0").match(/.{4}/g) ?? [];
  return [...groups, prefixLength].join("-");
}
