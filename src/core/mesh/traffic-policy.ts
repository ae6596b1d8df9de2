/** A DestinationRule's traffic policy as a cluster's settings, with Istio's defaults. */

import type { TrafficPolicy } from "../../api/istio/networking.ts";
import { durationMs } from "../../api/validate/duration.ts";
import type {
  BalancerPolicy,
  CircuitBreakers,
  Cluster,
  OutlierDetection,
} from "../../model/proxy-config.ts";

/** Istio's, for every connection that a proxy opens. */
const connectTimeoutMs = 10_000;

export type TrafficSettings = Pick<
  Cluster,
  "discovery" | "connectTimeoutMs" | "balancer" | "circuitBreakers" | "outlierDetection"
>;

export function trafficSettings(policy: TrafficPolicy | undefined): TrafficSettings {
  const { tcp, http } = policy?.connectionPool ?? {};
  const outliers = outlierDetection(policy);
  return {
    discovery: { kind: simpleOf(policy) === "PASSTHROUGH" ? "original-destination" : "eds" },
    connectTimeoutMs: durationMs(tcp?.connectTimeout ?? "") ?? connectTimeoutMs,
    balancer: balancer(policy),
    circuitBreakers: breakers({
      maxConnections: tcp?.maxConnections,
      maxPendingRequests: http?.http1MaxPendingRequests,
      maxRequests: http?.http2MaxRequests,
      maxRetries: http?.maxRetries,
    }),
    ...(outliers === undefined ? {} : { outlierDetection: outliers }),
  };
}

function simpleOf(policy: TrafficPolicy | undefined): string {
  return policy?.loadBalancer?.simple ?? "UNSPECIFIED";
}

function balancer(policy: TrafficPolicy | undefined): BalancerPolicy {
  switch (simpleOf(policy)) {
    case "ROUND_ROBIN":
    case "PASSTHROUGH":
      return { kind: "round-robin" };
    case "RANDOM":
      return { kind: "random" };
    default:
      return { kind: "least-request" };
  }
}

/** Zero means no limit in Istio's API. */
function breakers(
  limits: {
    readonly [K in keyof CircuitBreakers]-?: number | undefined;
  },
): CircuitBreakers {
  return Object.fromEntries(
    Object.entries(limits).filter(([, limit]) => limit !== undefined && limit > 0),
  );
}

function outlierDetection(policy: TrafficPolicy | undefined): OutlierDetection | undefined {
  const given = policy?.outlierDetection;
  if (given === undefined) return undefined;
  return {
    consecutive5xx: given.consecutive5xxErrors ?? 5,
    consecutiveGatewayErrors: given.consecutiveGatewayErrors ?? 0,
    intervalMs: durationMs(given.interval ?? "") ?? 10_000,
    baseEjectionMs: durationMs(given.baseEjectionTime ?? "") ?? 30_000,
    maxEjectionPercent: given.maxEjectionPercent ?? 10,
  };
}
