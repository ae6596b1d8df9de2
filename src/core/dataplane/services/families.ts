/** How nftables spells what differs between the families: the one place that the Services' rules take it from. */

import type { IpFamily } from "../../../base/ip.ts";

export interface NftFamily {
  readonly family: IpFamily;
  /** `ip saddr`, `dnat ip to …`. */
  readonly keyword: "ip" | "ip6";
  readonly addressType: "ipv4_addr" | "ipv6_addr";
  /** At the end of the names of maps and chains. */
  readonly suffix: "" | "6";
}

export const nftFamilies: readonly NftFamily[] = [
  { family: "IPv4", keyword: "ip", addressType: "ipv4_addr", suffix: "" },
  { family: "IPv6", keyword: "ip6", addressType: "ipv6_addr", suffix: "6" },
];
