/** The Network: the address plan that all of an installation shares. */

import {
  type Cidr,
  cidrContains,
  cidrSize,
  familyOf,
  type IpFamily,
  parseCidr,
  renderCidr,
} from "../../base/ip.ts";
import type { Network } from "../heddle/v1.ts";
import { cidr } from "./address.ts";
import { canonicalCidr, checkBlockLength } from "./address-plan.ts";
import { extensionProvider } from "./istio/telemetry.ts";
import { type Check, type Place, refine } from "./schema/check.ts";
import { list, record } from "./schema/record.ts";
import { boolean, integer, nonEmpty, oneOf } from "./schema/scalar.ts";

export const networkSpec: Check = refine<Network["spec"]>(
  record({
    "podCidr!": canonicalCidr,
    "blockPrefixLength!": integer(0, 128),
    "serviceCidr!": nonEmpty,
    loadBalancerCidrs: list(canonicalCidr),
    nodePortCidrs: list(cidr),
    masqueradeAll: boolean,
    "encap!": oneOf("none", "direct", "vxlan", "auto", "wireguard"),
    wireguardPort: integer(1, 65_535),
    // IPv6 wants 1280 inside what the overlay leaves; no link has more than a jumbo frame or a loopback.
    mtu: integer(1350, 65_536),
    outboundTrafficPolicy: record({ mode: oneOf("ALLOW_ANY", "REGISTRY_ONLY") }),
    extensionProviders: list(extensionProvider),
  }),
  ({ podCidr, blockPrefixLength, serviceCidr }, at) => {
    const pods = parseCidr(podCidr);
    checkBlockLength(podCidr, blockPrefixLength, at.field("blockPrefixLength"));
    serviceRanges(serviceCidr, pods, at.field("serviceCidr"));
  },
);

/** A list of addresses that Services count on: no bits beyond the prefix, not too small, apart from the pods'. */
function serviceRanges(text: string, pods: Cidr, at: Place): void {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.length > 2) at.error(`must be one CIDR or one of each family, got "${text}"`);
  const families = new Set<IpFamily>();
  for (const part of parts) {
    const before = at.errors().length;
    canonicalCidr(part, at);
    if (at.errors().length > before) continue;
    const range = parseCidr(part);
    const family = familyOf(range.address);
    if (families.has(family)) at.error(`must be one CIDR or one of each family, got "${text}"`);
    families.add(family);
    if (cidrContains(pods, range.address) || cidrContains(range, pods.address)) {
      at.error(`must not overlap podCidr ${renderCidr(pods)}, got "${part}"`);
    }
    if (cidrSize(range) < 4) {
      at.error(`must be ${family === "IPv4" ? "/30" : "/126"} or larger, got "${part}"`);
    }
  }
}
