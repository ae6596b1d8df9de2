/** A DestinationRule's traffic policy as a cluster's settings, with Istio's defaults. */

import type { TrafficPolicy } from "../../api/istio/networking.ts";
import { durationMs } from "../../api/validate/duration.ts";
import type {
  BalancerPolicy,
  CircuitBreakers,
  Cluster,
  HashKey,
  OutlierDetection,
  SlowStart,
} from "../../model/proxy-config.ts";

/** Istio's, for every connection that a proxy opens. */
const connectTimeoutMs = 10_000;

export type TrafficSettings = Pick<
  Cluster,
  | "discovery"
  | "connectTimeoutMs"
  | "balancer"
  | "slowStart"
  | "circuitBreakers"
  | "idleTimeoutMs"
  | "maxRequestsPerConnection"
  | "maxConcurrentStreams"
  | "http2KeepAlive"
  | "maxConnectionDurationMs"
  | "keepAlive"
  | "panicPercent"
  | "outlierDetection"
>;

export function trafficSettings(policy: TrafficPolicy | undefined): TrafficSettings {
  const { tcp, http } = policy?.connectionPool ?? {};
  const outliers = outlierDetection(policy);
  const slow = slowStart(policy);
  const idleTimeoutMs = durationMs(http?.idleTimeout ?? "");
  const perConnection = http?.maxRequestsPerConnection ?? 0;
  const streams = http?.maxConcurrentStreams ?? 0;
  const panicPercent = policy?.outlierDetection?.minHealthPercent ?? 0;
  return {
    discovery: { kind: simpleOf(policy) === "PASSTHROUGH" ? "original-destination" : "eds" },
    connectTimeoutMs: durationMs(tcp?.connectTimeout ?? "") ?? connectTimeoutMs,
    balancer: balancer(policy),
    ...(slow === undefined ? {} : { slowStart: slow }),
    circuitBreakers: {
      ...breakers({
        maxConnections: tcp?.maxConnections,
        maxPendingRequests: http?.http1MaxPendingRequests,
        maxRequests: http?.http2MaxRequests,
        maxRetries: http?.maxRetries,
      }),
      ...retryBudget(policy),
    },
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(perConnection === 0 ? {} : { maxRequestsPerConnection: perConnection }),
    ...(streams === 0 ? {} : { maxConcurrentStreams: streams }),
    ...http2KeepAlive(policy),
    ...connectionLife(policy),
    ...(panicPercent === 0 ? {} : { panicPercent }),
    ...(outliers === undefined ? {} : { outlierDetection: outliers }),
  };
}

function connectionLife(
  policy: TrafficPolicy | undefined,
): Pick<Cluster, "maxConnectionDurationMs" | "keepAlive"> {
  const { maxConnectionDuration, tcpKeepalive } = policy?.connectionPool?.tcp ?? {};
  const maxMs = durationMs(maxConnectionDuration ?? "");
  const timeMs = durationMs(tcpKeepalive?.time ?? "");
  const intervalMs = durationMs(tcpKeepalive?.interval ?? "");
  const probes = tcpKeepalive?.probes ?? 0;
  return {
    ...(maxMs === undefined ? {} : { maxConnectionDurationMs: maxMs }),
    ...(tcpKeepalive === undefined
      ? {}
      : {
          keepAlive: {
            ...(timeMs === undefined ? {} : { timeMs }),
            ...(intervalMs === undefined ? {} : { intervalMs }),
            ...(probes === 0 ? {} : { probes }),
          },
        }),
  };
}

function http2KeepAlive(policy: TrafficPolicy | undefined): Pick<Cluster, "http2KeepAlive"> {
  const { interval, timeout } = policy?.connectionPool?.http?.http2KeepAlive ?? {};
  const intervalMs = durationMs(interval ?? "");
  const timeoutMs = durationMs(timeout ?? "");
  if (intervalMs === undefined || timeoutMs === undefined) return {};
  return { http2KeepAlive: { intervalMs, timeoutMs } };
}

/** What the policy says of HTTP's version in the place of the port's: HTTP/2 always, or the client's own. */
export function protocolWanted(policy: TrafficPolicy | undefined): Cluster["protocol"] {
  const { h2UpgradePolicy, useClientProtocol } = policy?.connectionPool?.http ?? {};
  if (useClientProtocol === true) return "downstream";
  return h2UpgradePolicy === "UPGRADE" ? "http/2" : undefined;
}

/** Istio's default is the first version. */
export function proxyProtocol(policy: TrafficPolicy | undefined): Cluster["proxyProtocol"] {
  if (policy?.proxyProtocol === undefined) return undefined;
  return policy.proxyProtocol.version === "V2" ? "v2" : "v1";
}

/** After how long without a byte a TCP connection is closed, 0 for never; undefined: the proxy's own limit. */
export function tcpIdleMs(policy: TrafficPolicy | undefined): number | undefined {
  return durationMs(policy?.connectionPool?.tcp?.idleTimeout ?? "");
}

function simpleOf(policy: TrafficPolicy | undefined): string {
  return policy?.loadBalancer?.simple ?? "UNSPECIFIED";
}

/** Istio's sizes: a ring of at least 1 024 points, a Maglev table of 65 537 slots. */
function balancer(policy: TrafficPolicy | undefined): BalancerPolicy {
  const hash = policy?.loadBalancer?.consistentHash;
  if (hash?.maglev !== undefined) {
    return { kind: "maglev", tableSize: hash.maglev.tableSize ?? 65_537 };
  }
  if (hash !== undefined) {
    const size = hash.ringHash?.minimumRingSize ?? hash.minimumRingSize ?? 0;
    return { kind: "ring-hash", minimumRingSize: size === 0 ? 1_024 : size };
  }
  switch (simpleOf(policy)) {
    case "ROUND_ROBIN":
    case "PASSTHROUGH":
      return { kind: "round-robin" };
    case "RANDOM":
      return { kind: "random" };
    case "PEAK_EWMA":
      return { kind: "peak-ewma" };
    default:
      return { kind: "least-request" };
  }
}

/** What a request's hash is made of; nothing where the policy does not hash. */
export function hashKeys(policy: TrafficPolicy | undefined): readonly HashKey[] {
  const hash = policy?.loadBalancer?.consistentHash;
  if (hash?.httpHeaderName !== undefined) return [{ kind: "header", name: hash.httpHeaderName }];
  if (hash?.httpQueryParameterName !== undefined) {
    return [{ kind: "query", name: hash.httpQueryParameterName }];
  }
  if (hash?.useSourceIp === true) return [{ kind: "source-ip" }];
  if (hash?.httpCookie === undefined) return [];
  const { name, path, ttl, attributes = [] } = hash.httpCookie;
  const ttlMs = ttl === undefined ? undefined : (durationMs(ttl) ?? 0);
  return [
    {
      kind: "cookie",
      name,
      ...(path === undefined ? {} : { path }),
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(attributes.length === 0
        ? {}
        : { attributes: attributes.map((one) => [one.name, one.value ?? ""] as const) }),
    },
  ];
}

/** Envoy knows it for these two balancers. */
function slowStart(policy: TrafficPolicy | undefined): SlowStart | undefined {
  const { warmup, warmupDurationSecs } = policy?.loadBalancer ?? {};
  const windowMs = durationMs(warmup?.duration ?? warmupDurationSecs ?? "") ?? 0;
  const { kind } = balancer(policy);
  if (windowMs === 0 || (kind !== "least-request" && kind !== "round-robin")) return undefined;
  return {
    windowMs,
    aggression: warmup?.aggression ?? 1,
    minPercent: warmup?.minimumPercent ?? 10,
  };
}

function retryBudget(policy: TrafficPolicy | undefined): Pick<CircuitBreakers, "retryBudget"> {
  const given = policy?.retryBudget;
  if (given === undefined) return {};
  const { percent = 20, minRetryConcurrency = 3 } = given;
  return { retryBudget: { percent, minConcurrency: minRetryConcurrency } };
}

/** Zero means no limit in Istio's API. */
function breakers(
  limits: {
    readonly [K in Exclude<keyof CircuitBreakers, "retryBudget">]: number | undefined;
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
    ...(given.splitExternalLocalOriginErrors === true
      ? { consecutiveLocalOrigin: given.consecutiveLocalOriginFailures ?? 5 }
      : {}),
    ...(given.outlierDetectionHttpErrorCodes === undefined
      ? {}
      : { failureStatuses: given.outlierDetectionHttpErrorCodes }),
    intervalMs: durationMs(given.interval ?? "") ?? 10_000,
    baseEjectionMs: durationMs(given.baseEjectionTime ?? "") ?? 30_000,
    maxEjectionPercent: given.maxEjectionPercent ?? 10,
  };
}
