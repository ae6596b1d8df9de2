/** NetworkPolicies. */

import { cidrContains, parseCidr } from "../../../base/ip.ts";
import type { NetworkPolicyPeer, NetworkPolicyPort } from "../../k8s/network-policy.ts";
import { cidr } from "../address.ts";
import { portName } from "../names.ts";
import { type Check, refine } from "../schema/check.ts";
import { list, record } from "../schema/record.ts";
import { integer, numberOr, oneOf, portNumber } from "../schema/scalar.ts";
import { labelSelector } from "../selector.ts";

const port: Check = refine<NetworkPolicyPort>(
  record({
    protocol: oneOf("TCP", "UDP", "SCTP"),
    port: numberOr(portNumber, portName),
    endPort: integer(1, 65535),
  }),
  ({ port: first, endPort }, at) => {
    if (endPort === undefined) return;
    if (typeof first !== "number") {
      const got = first === undefined ? "nothing" : `"${first}"`;
      at.field("port").error(`must be a number where endPort is given, got ${got}`);
    } else if (endPort < first) {
      at.field("endPort").error(`must be port (${first}) or more, got ${endPort}`);
    }
  },
);

type IpBlock = NonNullable<NetworkPolicyPeer["ipBlock"]>;

const ipBlock: Check = refine<IpBlock>(
  record({ "cidr!": cidr, except: list(cidr) }),
  ({ cidr: whole, except = [] }, at) => {
    for (const [index, part] of except.entries()) {
      if (!isInside(part, whole)) {
        const where = at.field("except").item(index);
        where.error(`must be a smaller part of ${whole}, got "${part}"`);
      }
    }
  },
);

/** A strict part. Prefixes of IPv6 are left to whoever acts on them. */
function isInside(part: string, whole: string): boolean {
  if (part.includes(":") || whole.includes(":")) return part.includes(":") && whole.includes(":");
  const inner = parseCidr(part);
  const outer = parseCidr(whole);
  return inner.prefixLength > outer.prefixLength && cidrContains(outer, inner.address);
}

const peer: Check = refine<NetworkPolicyPeer>(
  record({ podSelector: labelSelector, namespaceSelector: labelSelector, ipBlock }),
  (value, at) => {
    const selects = value.podSelector !== undefined || value.namespaceSelector !== undefined;
    if (value.ipBlock !== undefined && selects) {
      at.error("must have either ipBlock or selectors, got both");
    }
    if (value.ipBlock === undefined && !selects) {
      at.error("must have one of podSelector, namespaceSelector, ipBlock, got none");
    }
  },
);

export const networkPolicySpec: Check = record({
  // The API has it required in its types and empty by default in its storage; manifests leave it out.
  podSelector: labelSelector,
  policyTypes: list(oneOf("Ingress", "Egress")),
  ingress: list(record({ from: list(peer), ports: list(port) })),
  egress: list(record({ to: list(peer), ports: list(port) })),
});
