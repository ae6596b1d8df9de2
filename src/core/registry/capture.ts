/**
 * What of a pod's TCP its sidecar takes: all, unless its annotations leave something out.
 *
 * Istio's order: what is excluded counts before what is included, and where ports for what comes in are listed, nothing
 * needs to be excluded. What goes past a sidecar goes past mesh TLS, policies of requests and counters; NetworkPolicy
 * holds for it as for a pod without one.
 */

import { captureSettings } from "../../api/istio/capture-annotations.ts";
import type { Pod } from "../../api/k8s/core.ts";
import { cidrContains, familyOf, parseCidr } from "../../base/ip.ts";
import type { CaptureView } from "../../model/node-view.ts";
import { isMeshed } from "./workloads.ts";

/** Undefined where nothing is left out. */
export function captureOf({ metadata }: Pick<Pod, "metadata">): CaptureView | undefined {
  const settings = captureSettings(metadata.annotations);
  if (Object.keys(settings).length === 0) return undefined;
  const {
    includeInboundPorts: inboundPorts,
    excludeInboundPorts: exceptInboundPorts,
    includeOutboundIPRanges: outboundRanges,
    includeOutboundPorts: outboundPorts,
    excludeOutboundPorts: exceptOutboundPorts,
    excludeOutboundIPRanges: exceptOutboundRanges,
  } = settings;
  return {
    ...(inboundPorts && { inboundPorts }),
    ...(exceptInboundPorts && !inboundPorts && { exceptInboundPorts }),
    ...(outboundRanges && { outboundRanges }),
    ...(outboundPorts && outboundRanges && { outboundPorts }),
    ...(exceptOutboundPorts && { exceptOutboundPorts }),
    ...(exceptOutboundRanges && { exceptOutboundRanges }),
  };
}

/** Whether its sidecar takes what the pod sends there. A gateway takes nothing of its pod's. */
export function takesOutbound(pod: Pod, address: string | undefined, port: number): boolean {
  if (!isMeshed(pod)) return false;
  const { exceptOutboundPorts = [], exceptOutboundRanges = [], ...rest } = captureOf(pod) ?? {};
  if (exceptOutboundPorts.includes(port) || isWithin(exceptOutboundRanges, address)) return false;
  const { outboundRanges, outboundPorts = [] } = rest;
  return (
    outboundRanges === undefined ||
    outboundPorts.includes(port) ||
    isWithin(outboundRanges, address)
  );
}

/** Whether its sidecar takes what comes in at the port. */
export function takesInbound(pod: Pod, port: number): boolean {
  if (!isMeshed(pod)) return false;
  const { inboundPorts, exceptInboundPorts = [] } = captureOf(pod) ?? {};
  return inboundPorts?.includes(port) ?? !exceptInboundPorts.includes(port);
}

function isWithin(ranges: readonly string[], address: string | undefined): boolean {
  if (address === undefined) return false;
  return ranges
    .map(parseCidr)
    .some((range) => familyOf(range.address) === familyOf(address) && cidrContains(range, address));
}
