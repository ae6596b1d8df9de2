/**
 * How a cluster finds its endpoints: by EDS, by looking names up, by where the application wanted to go, or not at all.
 *
 * Names are looked up as Istio has Envoy do it: as often as their TTL says, IPv4 first.
 */

import type { Cluster } from "../../model/proxy-config.ts";
import { decodeAssignment, encodeAssignment } from "./endpoints.ts";
import { encodeDuration, invalid } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { DiscoveryType, DnsLookupFamily } from "./gen/messages.ts";
import { adsSource } from "./network-filter.ts";

/** For answers that say nothing of how long they hold. */
const refreshMs = 60_000;

export function encodeDiscovery({
  name,
  discovery,
}: Pick<Cluster, "name" | "discovery">): Partial<wire.Cluster> {
  switch (discovery.kind) {
    case "eds":
      return {
        type: DiscoveryType.EDS,
        edsClusterConfig: { edsConfig: adsSource, serviceName: name },
      };
    case "original-destination":
      return { type: DiscoveryType.ORIGINAL_DST };
    case "none":
      return { type: DiscoveryType.STATIC };
    case "dns":
      return {
        type: discovery.uses === "every" ? DiscoveryType.STRICT_DNS : DiscoveryType.LOGICAL_DNS,
        loadAssignment: encodeAssignment(name, discovery.endpoints),
        dnsRefreshRate: encodeDuration(refreshMs),
        respectDnsTtl: true,
        dnsLookupFamily: DnsLookupFamily.V4_PREFERRED,
      };
  }
}

export function decodeDiscovery(message: wire.Cluster, path: string): Cluster["discovery"] {
  const { type = DiscoveryType.STATIC, loadAssignment = {} } = message;
  const endpoints = decodeAssignment(loadAssignment, `${path}.load_assignment`);
  switch (type) {
    case DiscoveryType.EDS:
      return { kind: "eds" };
    case DiscoveryType.ORIGINAL_DST:
      return { kind: "original-destination" };
    case DiscoveryType.STRICT_DNS:
      return { kind: "dns", uses: "every", endpoints };
    case DiscoveryType.LOGICAL_DNS:
      return { kind: "dns", uses: "first", endpoints };
    case DiscoveryType.STATIC:
      if (endpoints.length === 0) return { kind: "none" };
  }
  throw invalid(
    `${path}.type`,
    "want EDS, STRICT_DNS, LOGICAL_DNS, ORIGINAL_DST or STATIC without endpoints",
  );
}
