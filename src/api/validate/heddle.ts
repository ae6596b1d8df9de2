/** The Network: the address plan that all of an installation shares. */

import { cidrContains, isIpv4, parseCidr } from "../../base/ip.ts";
import type { Network } from "../heddle/v1.ts";
import { cidr } from "./address.ts";
import { canonicalCidr, checkBlockLength } from "./address-plan.ts";
import { type Check, refine } from "./schema/check.ts";
import { record } from "./schema/record.ts";
import { integer, oneOf } from "./schema/scalar.ts";

const cidr4: Check = refine<string>(cidr, (value, at) => {
  const [address = ""] = value.split("/");
  if (!isIpv4(address)) at.error(`must be an IPv4 CIDR, got "${value}"`);
  else if (parseCidr(value).address !== address) {
    at.error(`must have no bits beyond its prefix: ${parseCidr(value).address}, got "${value}"`);
  }
});

export const networkSpec: Check = refine<Network["spec"]>(
  record({
    "podCidr!": canonicalCidr,
    "blockPrefixLength!": integer(0, 128),
    "serviceCidr!": cidr4,
    "encap!": oneOf("none", "vxlan"),
  }),
  ({ podCidr, blockPrefixLength, serviceCidr }, at) => {
    const pods = parseCidr(podCidr);
    const services = parseCidr(serviceCidr);
    checkBlockLength(podCidr, blockPrefixLength, at.field("blockPrefixLength"));
    if (cidrContains(pods, services.address) || cidrContains(services, pods.address)) {
      at.field("serviceCidr").error(`must not overlap podCidr ${podCidr}, got "${serviceCidr}"`);
    }
    if (services.prefixLength > 30) {
      at.field("serviceCidr").error(`must be /30 or larger, got "${serviceCidr}"`);
    }
  },
);
