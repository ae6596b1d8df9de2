/**
 * How a cluster finds its endpoints: by EDS, by looking names up, by where the application wanted to go, or not at all.
 *
 * Names are looked up as Istio has Envoy do it: as often as their TTL says, IPv4 first.
 */

import { isIp } from "../../base/ip.ts";
import type { Cluster, Endpoint } from "../../model/proxy-config.ts";
import { decodeAssignment, encodeAssignment } from "./endpoints.ts";
import { encodeDuration, given, invalid } from "./field.ts";
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
        edsClusterConfig: { edsConfig: adsSource, serviceName: discovery.endpoints ?? name },
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
  const { type = DiscoveryType.STATIC, loadAssignment = {}, edsClusterConfig } = message;
  const endpoints = decodeAssignment(loadAssignment, `${path}.load_assignment`);
  switch (type) {
    case DiscoveryType.EDS: {
      const named = edsClusterConfig?.serviceName || message.name;
      return { kind: "eds", ...given("endpoints", named === message.name ? undefined : named) };
    }
    case DiscoveryType.ORIGINAL_DST:
      return { kind: "original-destination" };
    case DiscoveryType.STRICT_DNS:
      return { kind: "dns", uses: "every", endpoints };
    case DiscoveryType.LOGICAL_DNS:
      return { kind: "dns", uses: "first", endpoints };
    case DiscoveryType.STATIC:
      // Addresses are names that need no look-up.
      return endpoints.length === 0
        ? { kind: "none" }
        : { kind: "dns", uses: "every", endpoints: endpoints.map(checkedAddress(path)) };
  }
  throw invalid(`${path}.type`, `want one that Envoy knows, got ${type}`);
}

function checkedAddress(path: string): (endpoint: Endpoint) => Endpoint {
  return (endpoint) => {
    if (isIp(endpoint.address)) return endpoint;
    const want = `want addresses in a STATIC cluster, got "${endpoint.address}"`;
    throw invalid(`${path}.load_assignment`, want);
  };
}
