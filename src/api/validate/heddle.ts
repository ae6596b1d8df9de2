/** Heddle's own kinds: the address plan and the blocks that nodes hold of it. */

import { cidrContains, isIpv4, parseCidr } from "../../base/ip.ts";
import type { AddressBlock, Network } from "../heddle/v1.ts";
import { cidr } from "./address.ts";
import { type Check, type Place, refine } from "./schema/check.ts";
import { record } from "./schema/record.ts";
import { integer, nonEmpty, oneOf } from "./schema/scalar.ts";

const cidr4: Check = refine<string>(cidr, (value, at) => {
  const [address = ""] = value.split("/");
  if (!isIpv4(address)) at.error(`must be an IPv4 CIDR, got "${value}"`);
  else if (parseCidr(value).address !== address) {
    at.error(`must have no bits beyond its prefix: ${parseCidr(value).address}, got "${value}"`);
  }
});

export const networkSpec: Check = refine<Network["spec"]>(
  record({
    "podCidr!": cidr4,
    "blockPrefixLength!": integer(20, 30),
    "serviceCidr!": cidr4,
    "encap!": oneOf("none", "vxlan"),
  }),
  ({ podCidr, blockPrefixLength, serviceCidr }, at) => {
    const pods = parseCidr(podCidr);
    const services = parseCidr(serviceCidr);
    if (blockPrefixLength < pods.prefixLength) {
      const where = at.field("blockPrefixLength");
      where.error(
        `must be ${pods.prefixLength} (that of podCidr) or more, got ${blockPrefixLength}`,
      );
    }
    if (cidrContains(pods, services.address) || cidrContains(services, pods.address)) {
      at.field("serviceCidr").error(`must not overlap podCidr ${podCidr}, got "${serviceCidr}"`);
    }
    if (services.prefixLength > 30) {
      at.field("serviceCidr").error(`must be /30 or larger, got "${serviceCidr}"`);
    }
  },
);

export const addressBlockSpec: Check = record({ "cidr!": cidr4, "node!": nonEmpty });

/** A block's name is its CIDR, so that two nodes cannot create the same one. */
export function addressBlockName(block: unknown, at: Place): void {
  const { metadata, spec } = block as AddressBlock; // Only asked of blocks of the right shape.
  const wanted = spec.cidr.replace("/", "-");
  if (metadata.name !== wanted) {
    const where = at.field("metadata").field("name");
    where.error(`must be "${wanted}" as its cidr, got "${metadata.name}"`);
  }
}
