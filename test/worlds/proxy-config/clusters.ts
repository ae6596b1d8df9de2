/** Random clusters and their endpoints. */

import fc from "fast-check";
import type {
  BalancerPolicy,
  Cluster,
  ClusterEndpoints,
  HealthCheck,
  HealthProbe,
  Subsets,
} from "../../../src/model/proxy-config.ts";
import { originate } from "./listeners.ts";
import {
  address,
  count,
  direction,
  maybe,
  metadata,
  ms,
  mutualTls,
  name,
  pairs,
  port,
  text,
} from "./values.ts";

const hashing = {
  balancePercent: fc.integer({ min: 100, max: 1_000 }),
  hashesNames: fc.constant(true as const),
};

const balancer: fc.Arbitrary<BalancerPolicy> = fc.oneof(
  fc.record({
    kind: fc.constantFrom(
      "least-request" as const,
      "peak-ewma" as const,
      "round-robin" as const,
      "random" as const,
    ),
  }),
  fc.record(
    {
      kind: fc.constant("least-request" as const),
      choices: fc.oneof(fc.integer({ min: 3, max: 100 }), fc.constant("all" as const)),
      bias: fc.double({ min: 1.5, max: 9, noNaN: true }),
    },
    { requiredKeys: ["kind"] },
  ),
  fc.record(
    {
      kind: fc.constant("ring-hash" as const),
      minimumRingSize: fc.integer({ min: 1, max: 100_000 }),
      maximumRingSize: fc.integer({ min: 100_000, max: 1_000_000 }),
      ...hashing,
    },
    { requiredKeys: ["kind", "minimumRingSize"] },
  ),
  fc.record(
    { kind: fc.constant("maglev" as const), tableSize: fc.constantFrom(251, 65_537), ...hashing },
    { requiredKeys: ["kind", "tableSize"] },
  ),
);

const statusRanges = fc.array(
  fc
    .tuple(fc.integer({ min: 100, max: 399 }), fc.integer({ min: 0, max: 100 }))
    .map(([from, length]) => ({ from, to: from + length })),
  { maxLength: 2 },
);
const hex = fc.constantFrom("00", "50494e47", "ff0a");
const healthProbe: fc.Arbitrary<HealthProbe> = fc.oneof(
  fc.record(
    {
      kind: fc.constant("http" as const),
      path: text,
      host: text,
      method: fc.constantFrom("GET" as const, "HEAD" as const, "OPTIONS" as const),
      headers: pairs,
      expected: statusRanges,
      retriable: statusRanges,
    },
    { requiredKeys: ["kind", "path", "method", "headers", "expected", "retriable"] },
  ),
  fc.record({
    kind: fc.constant("tcp" as const),
    send: fc.oneof(fc.constant(""), hex),
    receive: fc.array(hex, { maxLength: 2 }),
  }),
  fc.record(
    { kind: fc.constant("grpc" as const), service: fc.string(), authority: text, headers: pairs },
    { requiredKeys: ["kind", "service", "headers"] },
  ),
);
const healthCheck: fc.Arbitrary<HealthCheck> = fc.record(
  {
    probe: healthProbe,
    timeoutMs: ms,
    intervalMs: fc.integer({ min: 1, max: 60_000 }),
    noTrafficIntervalMs: ms,
    unhealthyIntervalMs: ms,
    initialJitterMs: ms,
    jitterMs: ms,
    jitterPercent: fc.integer({ min: 1, max: 100 }),
    unhealthyThreshold: count,
    healthyThreshold: count,
  },
  { requiredKeys: ["probe", "timeoutMs", "intervalMs", "unhealthyThreshold", "healthyThreshold"] },
);

const fallback = fc.constantFrom("none" as const, "any" as const, "default" as const);
const subsets: fc.Arbitrary<Subsets> = fc.record({
  selectors: fc.array(
    fc.record(
      {
        keys: fc.uniqueArray(name, { minLength: 1, maxLength: 3 }).map((keys) => keys.sort()),
        fallback,
      },
      { requiredKeys: ["keys"] },
    ),
    { minLength: 1, maxLength: 2 },
  ),
  fallback,
  defaultPart: metadata,
});

const wholeSeconds = fc.integer({ min: 1, max: 7_200 }).map((seconds) => seconds * 1_000);
const outlierStatistics = { minimumHosts: count, minimumRequests: count };

const place = fc.record(
  {
    locality: fc.record({ region: fc.string(), zone: fc.string(), subZone: fc.string() }),
    priority: fc.integer({ min: 1, max: 128 }),
    localityWeight: fc.integer({ min: 2, max: 1_000 }),
  },
  maybe,
);

const members = fc.array(
  fc
    .record(
      {
        address,
        port,
        weight: fc.integer({ min: 1, max: 1000 }),
        tls: fc.boolean(),
        workload: fc.record({
          namespace: name,
          workload: name,
          app: name,
          version: name,
          serviceAccount: name,
        }),
        isUnhealthy: fc.constant(true as const),
        hostname: name,
        metadata,
      },
      { requiredKeys: ["address", "port", "weight", "tls"] },
    )
    .chain((endpoint) => place.map((where) => ({ ...endpoint, ...where }))),
  { maxLength: 3 },
);

export const cluster: fc.Arbitrary<Cluster> = fc
  .record(
    {
      name,
      direction,
      discovery: fc.oneof(
        fc.record({
          kind: fc.constantFrom("eds" as const, "original-destination" as const, "none" as const),
        }),
        fc.record({
          kind: fc.constant("dns" as const),
          uses: fc.constantFrom("every" as const, "first" as const),
          endpoints: members,
        }),
      ),
      connectTimeoutMs: ms,
      balancer,
      slowStart: fc.record({
        windowMs: fc.integer({ min: 1, max: 60_000 }),
        aggression: fc.double({ min: 0.1, max: 4, noNaN: true }),
        minPercent: fc.integer({ min: 1, max: 100 }),
      }),
      isLocalityWeighted: fc.constant(true as const),
      subsets,
      panicPercent: fc.integer({ min: 1, max: 100 }),
      idleTimeoutMs: ms,
      maxRequestsPerConnection: fc.integer({ min: 1, max: 1_000 }),
      maxConcurrentStreams: fc.integer({ min: 1, max: 1_000 }),
      http2KeepAlive: fc.record({ intervalMs: ms, timeoutMs: ms }),
      originate,
      maxConnectionDurationMs: ms,
      proxyProtocol: fc.constantFrom("v1" as const, "v2" as const),
      keepAlive: fc.record(
        { timeMs: wholeSeconds, intervalMs: wholeSeconds, probes: fc.integer({ min: 1, max: 99 }) },
        maybe,
      ),
      tls: fc.record({
        ...mutualTls,
        sni: name,
        subjectAltNames: fc.array(
          name.map((name) => `spiffe://cluster.local/ns/a/sa/${name}`),
          {
            maxLength: 2,
          },
        ),
      }),
      protocol: fc.constantFrom("http/2" as const, "downstream" as const),
      circuitBreakers: fc.record(
        {
          maxConnections: count,
          maxPendingRequests: count,
          maxRequests: count,
          maxRetries: count,
          retryBudget: fc.record({
            percent: fc.integer({ min: 0, max: 100 }),
            minConcurrency: count,
          }),
        },
        maybe,
      ),
      outlierDetection: fc.record(
        {
          consecutive5xx: fc.integer({ min: 0, max: 100 }),
          consecutiveGatewayErrors: fc.integer({ min: 0, max: 100 }),
          consecutiveLocalOrigin: fc.integer({ min: 0, max: 100 }),
          failureStatuses: fc.array(fc.integer({ min: 100, max: 599 }), { maxLength: 3 }),
          successRate: fc.record({
            ...outlierStatistics,
            deviations: fc.integer({ min: 0, max: 5_000 }).map((thousandths) => thousandths / 1000),
          }),
          failurePercentage: fc.record({
            ...outlierStatistics,
            percent: fc.integer({ min: 0, max: 100 }),
          }),
          intervalMs: ms,
          baseEjectionMs: ms,
          maxEjectionPercent: fc.integer({ min: 0, max: 100 }),
        },
        {
          requiredKeys: [
            "consecutive5xx",
            "consecutiveGatewayErrors",
            "intervalMs",
            "baseEjectionMs",
            "maxEjectionPercent",
          ],
        },
      ),
      healthCheck,
      service: fc.record(
        { namespace: name, name, host: name, port, subset: name },
        { requiredKeys: ["namespace", "name", "host", "port"] },
      ),
    },
    {
      requiredKeys: [
        "name",
        "direction",
        "discovery",
        "connectTimeoutMs",
        "balancer",
        "circuitBreakers",
      ],
    },
  )
  .map(({ proxyProtocol, ...cluster }) => {
    // It is written in the clear only: beside mesh TLS to endpoints that take none.
    const mayBePlain = cluster.originate === undefined;
    return proxyProtocol !== undefined && mayBePlain ? { ...cluster, proxyProtocol } : cluster;
  })
  .map(({ maxConcurrentStreams, http2KeepAlive, ...cluster }) =>
    cluster.protocol === undefined
      ? cluster // what is said of HTTP/2 travels with the protocol
      : {
          ...cluster,
          ...(maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams }),
          ...(http2KeepAlive === undefined ? {} : { http2KeepAlive }),
        },
  )
  .map(({ subsets, ...cluster }) => {
    const { discovery, balancer } = cluster;
    const isListed = balancer.kind === "least-request" && balancer.choices === "all";
    const mayHaveParts = discovery.kind !== "original-destination" && !isListed;
    return subsets !== undefined && mayHaveParts ? { ...cluster, subsets } : cluster;
  })
  .map(({ slowStart, ...cluster }) => {
    // An original-destination cluster has no balancer of its own, and not all balancers know slow start.
    const isOriginal = cluster.discovery.kind === "original-destination";
    if (isOriginal) return { ...cluster, balancer: { kind: "round-robin" as const } };
    const { kind } = cluster.balancer;
    const isSlow = kind === "least-request" || kind === "round-robin" || kind === "peak-ewma";
    return slowStart !== undefined && isSlow ? { ...cluster, slowStart } : cluster;
  });

export const endpoints: fc.Arbitrary<ClusterEndpoints> = fc.record(
  {
    cluster: name,
    endpoints: members,
    overprovisioningPercent: fc.integer({ min: 100, max: 300 }),
  },
  { requiredKeys: ["cluster", "endpoints"] },
);
