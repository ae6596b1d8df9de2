/** What the two families are called in nft's language, and in the names of our sets. */

import { familyOf, type IpFamily } from "../../base/ip.ts";

export interface FamilyWords {
  /** Of a packet's header: `ip saddr`. */
  readonly header: "ip" | "ip6";
  /** Of an address: `type ipv4_addr`. */
  readonly type: "ipv4_addr" | "ipv6_addr";
  /** After the name of a set that both families have. */
  readonly suffix: "" | "6";
}

export const familyWords: Readonly<Record<IpFamily, FamilyWords>> = {
  IPv4: { header: "ip", type: "ipv4_addr", suffix: "" },
  IPv6: { header: "ip6", type: "ipv6_addr", suffix: "6" },
};

/** Those of one family. */
export function ofFamily(family: IpFamily, addresses: readonly string[]): readonly string[] {
  return addresses.filter((address) => familyOf(address) === family);
}
