/** Counts for tests, short to write. */

import { bucketOf } from "../../base/log-histogram.ts";
import type { DropCounts, EdgeCounts, NodeReport, ServingCounts } from "../../model/observation.ts";

/** `requests` answered with 200 in 10 ms, unless `more` says otherwise. */
export function edge(
  source: string,
  destination: string,
  requests: number,
  more: Partial<EdgeCounts> = {},
): EdgeCounts {
  return {
    source,
    destination,
    protocol: "http",
    version: "v1",
    mtls: true,
    codes: { "200": requests },
    flags: {},
    retries: 0,
    durations: [[bucketOf(10), requests]],
    durationSumMs: 10 * requests,
    ...more,
  };
}

export function served(pod: string, service: string, requests: number): ServingCounts {
  return {
    pod,
    service,
    requests,
    failed: 0,
    responses: [[bucketOf(5), requests]],
    responseSumMs: 5 * requests,
    busyMs: 5 * requests,
    inFlightMs: 5 * requests,
    gaps: requests,
    gapSumMs: 100 * requests,
    gapSquareSumMs2: 10_000 * requests,
    services: [[bucketOf(5), requests]],
    serviceSumMs: 5 * requests,
    serviceSquareSumMs2: 25 * requests,
    found: [[requests, 5 * requests, 25 * requests]],
  };
}

export function drop(source: string, destination: string, packets: number): DropCounts {
  return {
    source,
    destination,
    port: 80,
    protocol: "tcp",
    direction: "ingress",
    reason: "isolated by NetworkPolicy shop/deny-all",
    policies: ["shop/deny-all"],
    packets,
  };
}

/** The report of the second before `to`. */
export function report(node: string, to: number, counts: Partial<NodeReport> = {}): NodeReport {
  const nothing = { edges: [], serving: [], drops: [], losses: [], sidecars: [] };
  return { node, from: to - 1_000, to, ...nothing, taps: [], checks: [], ...counts };
}
