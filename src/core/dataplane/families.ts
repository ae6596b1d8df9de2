/**
 * What differs between the two families in nft's language, and in the names of our sets: rules take it from here alone.
 */

import { familyOf, type IpFamily } from "../../base/ip.ts";

export interface NftFamily {
  readonly family: IpFamily;
  /** `ip saddr`, `dnat ip to …`. */
  readonly keyword: "ip" | "ip6";
  /** `type ipv4_addr`. */
  readonly addressType: "ipv4_addr" | "ipv6_addr";
  /** At the end of the names of sets, maps and chains that both families have. */
  readonly suffix: "" | "6";
}

export const nftFamily: Readonly<Record<IpFamily, NftFamily>> = {
  IPv4: { family: "IPv4", keyword: "ip", addressType: "ipv4_addr", suffix: "" },
  IPv6: { family: "IPv6", keyword: "ip6", addressType: "ipv6_addr", suffix: "6" },
};

export const nftFamilies: readonly NftFamily[] = [nftFamily.IPv4, nftFamily.IPv6];

/** A rule, or several, for each family. */
export function ofBoth(
  rules: (family: NftFamily) => string | readonly string[],
): readonly string[] {
  return nftFamilies.flatMap(rules);
}

/** Those of one family. */
export function ofFamily(family: IpFamily, addresses: readonly string[]): readonly string[] {
  return addresses.filter((address) => familyOf(address) === family);
}
