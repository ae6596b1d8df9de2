/** Random configurations for property tests: everything that the model can say and the wire can carry. */

import fc from "fast-check";
import type {
  BalancerPolicy,
  Cluster,
  ClusterEndpoints,
  Cors,
  DownstreamTls,
  FilterChain,
  HashKey,
  HeaderEdit,
  HeaderMatch,
  HealthCheck,
  HealthProbe,
  Listener,
  NetworkFilter,
  OriginateTls,
  Permission,
  Principal,
  ProxyConfig,
  RateLimit,
  Rbac,
  Route,
  RouteAction,
  RouteConfig,
  StringMatch,
  WeightedCluster,
} from "../../src/model/proxy-config.ts";

const text: fc.Arbitrary<string> = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
const name: fc.Arbitrary<string> = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
const port: fc.Arbitrary<number> = fc.integer({ min: 1, max: 65_535 });
const ms: fc.Arbitrary<number> = fc.integer({ min: 0, max: 3_600_000 });
const count: fc.Arbitrary<number> = fc.integer({ min: 0, max: 4_294_967_294 });
const address: fc.Arbitrary<string> = fc.ipV4();
const regex: fc.Arbitrary<string> = fc.constantFrom("a+", "/v[0-9]+/.*", ".*/ns/shop/.*", "x|y");

const maybe = { requiredKeys: [] as [] };

const stringMatch: fc.Arbitrary<StringMatch> = fc.oneof(
  fc.record({ kind: fc.constantFrom("exact", "prefix", "suffix"), value: text }),
  fc.record({ kind: fc.constant("regex"), value: regex }),
  fc.record({ kind: fc.constant("present") }),
) as fc.Arbitrary<StringMatch>;

const headerMatch: fc.Arbitrary<HeaderMatch> = fc.record({
  name,
  match: stringMatch,
  invert: fc.boolean(),
});

const pairs = fc.array(
  fc.tuple(name, text).map(([key, value]) => [key, value] as const),
  {
    maxLength: 2,
  },
);

const headerEdit: fc.Arbitrary<HeaderEdit> = fc
  .record({ set: pairs, add: pairs, remove: fc.array(name, { maxLength: 2 }) })
  .filter((edit) => edit.set.length + edit.add.length + edit.remove.length > 0);

const edits = { requestHeaders: headerEdit, responseHeaders: headerEdit };

const weighted: fc.Arbitrary<WeightedCluster> = fc.record(
  { cluster: name, weight: fc.integer({ min: 0, max: 100 }), hostRewrite: name, ...edits },
  { requiredKeys: ["cluster", "weight"] },
);
const plainWeighted = fc.record({ cluster: name, weight: fc.integer({ min: 1, max: 100 }) });

const retry = fc.record({
  attempts: fc.integer({ min: 0, max: 10 }),
  perTryTimeoutMs: ms,
  on: fc.uniqueArray(fc.constantFrom("5xx", "connect-failure", "reset"), { maxLength: 3 }),
  retriableStatusCodes: fc.array(fc.integer({ min: 100, max: 599 }), { maxLength: 3 }),
  baseBackoffMs: fc.integer({ min: 1, max: 1000 }),
  maxBackoffMs: fc.integer({ min: 1, max: 10_000 }),
});

const hashKey: fc.Arbitrary<HashKey> = fc.oneof(
  fc.record({ kind: fc.constantFrom("header" as const, "query" as const), name }),
  fc.record({ kind: fc.constant("source-ip" as const) }),
  fc.record(
    { kind: fc.constant("cookie" as const), name, path: text, ttlMs: ms },
    { requiredKeys: ["kind", "name"] },
  ),
);

const cors: fc.Arbitrary<Cors> = fc.record(
  {
    origins: fc.array(stringMatch, { maxLength: 2 }),
    methods: fc.array(name, { maxLength: 2 }),
    headers: fc.array(name, { maxLength: 2 }),
    exposedHeaders: fc.array(name, { maxLength: 2 }),
    maxAgeMs: fc.integer({ min: 0, max: 86_400 }).map((seconds) => seconds * 1000),
    allowsCredentials: fc.boolean(),
    forwardsUnmatchedPreflights: fc.boolean(),
  },
  {
    requiredKeys: [
      "origins",
      "methods",
      "headers",
      "exposedHeaders",
      "forwardsUnmatchedPreflights",
    ],
  },
);

const percent = fc.integer({ min: 0, max: 1_000_000 }).map((parts) => parts / 10_000);

const action: fc.Arbitrary<RouteAction> = fc.oneof(
  fc.record(
    {
      kind: fc.constant("forward" as const),
      clusters: fc.array(weighted, { minLength: 1, maxLength: 3 }),
      timeoutMs: ms,
      retry,
      hedge: fc.oneof(
        fc.record(
          {
            kind: fc.constant("delay" as const),
            delayMs: fc.integer({ min: 1, max: 9_999 }),
            includesGrpc: fc.constant(true as const),
          },
          { requiredKeys: ["kind", "delayMs"] },
        ),
        fc.record(
          {
            kind: fc.constant("percentile" as const),
            percent: fc.integer({ min: 50, max: 99 }),
            includesGrpc: fc.constant(true as const),
          },
          { requiredKeys: ["kind", "percent"] },
        ),
      ),
      prefixRewrite: text,
      regexRewrite: fc.record({ pattern: regex, substitution: text }),
      hostRewrite: text,
      hash: fc.array(hashKey, { minLength: 1, maxLength: 2 }),
      mirrors: fc.array(fc.record({ cluster: name, percent }), { minLength: 1, maxLength: 2 }),
    },
    { requiredKeys: ["kind", "clusters", "timeoutMs"] },
  ),
  fc.record(
    {
      kind: fc.constant("redirect" as const),
      status: fc.constantFrom(301, 302, 303, 307, 308),
      host: text,
      path: text,
      scheme: fc.constantFrom("http", "https"),
      port,
    },
    { requiredKeys: ["kind", "status"] },
  ),
  fc.record({
    kind: fc.constant("redirect" as const),
    status: fc.constant(302),
    prefixRewrite: text,
  }),
  fc.record({
    kind: fc.constant("respond" as const),
    status: fc.integer({ min: 200, max: 599 }),
    body: fc.string(),
  }),
);

const rateLimit: fc.Arbitrary<RateLimit> = fc.record({
  maxTokens: fc.integer({ min: 1, max: 100_000 }),
  tokensPerFill: fc.integer({ min: 1, max: 100_000 }),
  fillIntervalMs: fc.integer({ min: 1, max: 3_600_000 }),
});

const route: fc.Arbitrary<Route> = fc.record(
  {
    name,
    origin: fc.tuple(name, name).map(([namespace, name]) => `${namespace}/${name}`),
    match: fc.record(
      {
        path: fc.oneof(
          fc.record({ kind: fc.constantFrom("prefix" as const, "exact" as const), value: text }),
          fc.record({ kind: fc.constant("regex" as const), value: regex }),
        ),
        headers: fc.array(headerMatch, { maxLength: 2 }),
        queryParameters: fc.array(fc.record({ name, match: stringMatch }), { maxLength: 2 }),
        ignoreCase: fc.constant(true),
      },
      { requiredKeys: ["path", "headers", "queryParameters"] },
    ),
    action,
    ...edits,
    cors,
    rateLimit,
    compression: fc.record({
      algorithms: fc.constantFrom(["gzip" as const], ["br" as const, "gzip" as const]),
      minBytes: fc.nat(9_999),
      contentTypes: fc.array(fc.constantFrom("text/html", "application/json"), { maxLength: 2 }),
    }),
    fault: fc.record(
      {
        delay: fc.record({ percent, fixedMs: ms }),
        abort: fc.record({ percent, status: fc.integer({ min: 200, max: 599 }) }),
      },
      maybe,
    ),
  },
  { requiredKeys: ["name", "match", "action"] },
);

export const routeConfig: fc.Arbitrary<RouteConfig> = fc.record({
  name,
  virtualHosts: fc.array(
    fc.record({
      name,
      domains: fc.array(text, { minLength: 1, maxLength: 3 }),
      routes: fc.array(route, { maxLength: 3 }),
    }),
    { maxLength: 2 },
  ),
});

const permission: fc.Arbitrary<Permission> = fc.letrec<{ it: Permission; leaf: Permission }>(
  (tie) => ({
    leaf: fc.oneof(
      fc.record({ kind: fc.constant("any" as const) }),
      fc.record({ kind: fc.constant("destination-port" as const), port }),
      fc.record({ kind: fc.constant("path" as const), match: stringMatch }),
      fc.record({ kind: fc.constant("header" as const), header: headerMatch }),
    ),
    it: fc.oneof(
      { maxDepth: 3 },
      tie("leaf"),
      fc.record({
        kind: fc.constantFrom("and" as const, "or" as const),
        of: fc.array(tie("it"), { minLength: 1, maxLength: 2 }),
      }),
      fc.record({ kind: fc.constant("not" as const), of: tie("it") }),
    ),
  }),
).it;

const principal: fc.Arbitrary<Principal> = fc.letrec<{ it: Principal; leaf: Principal }>((tie) => ({
  leaf: fc.oneof(
    fc.record({ kind: fc.constant("any" as const) }),
    fc.record({ kind: fc.constant("authenticated" as const), match: stringMatch }),
    fc.record({
      kind: fc.constant("source-ip" as const),
      cidr: fc
        .tuple(address, fc.integer({ min: 0, max: 32 }))
        .map(([address, length]) => `${address}/${length}`),
    }),
    fc.record({ kind: fc.constant("header" as const), header: headerMatch }),
  ),
  it: fc.oneof(
    { maxDepth: 3 },
    tie("leaf"),
    fc.record({
      kind: fc.constantFrom("and" as const, "or" as const),
      of: fc.array(tie("it"), { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ kind: fc.constant("not" as const), of: tie("it") }),
  ),
})).it;

const rbac: fc.Arbitrary<Rbac> = fc.record({
  action: fc.constantFrom("allow" as const, "deny" as const),
  policies: fc.uniqueArray(
    fc.record({
      name: name.map((name) => `ns[shop]-policy[${name}]-rule[0]`),
      permissions: fc.array(permission, { minLength: 1, maxLength: 2 }),
      principals: fc.array(principal, { minLength: 1, maxLength: 2 }),
    }),
    { selector: (policy) => policy.name, maxLength: 2 },
  ),
});
const rbacs = fc.array(rbac, { maxLength: 2 });

const filter: fc.Arbitrary<NetworkFilter> = fc.oneof(
  fc.record(
    {
      kind: fc.constant("http" as const),
      statPrefix: name,
      routes: fc.oneof(
        fc.record({ kind: fc.constant("rds" as const), name }),
        fc.record({ kind: fc.constant("inline" as const), config: routeConfig }),
      ),
      rbac: rbacs,
      rateLimit,
    },
    { requiredKeys: ["kind", "statPrefix", "routes", "rbac"] },
  ),
  fc.record(
    {
      kind: fc.constant("tcp" as const),
      statPrefix: name,
      clusters: fc.array(plainWeighted, { minLength: 1, maxLength: 3 }),
      idleTimeoutMs: ms,
    },
    { requiredKeys: ["kind", "statPrefix", "clusters"] },
  ),
);

const mutualTls = { alpn: fc.array(name, { maxLength: 2 }), certificate: name, validation: name };

const names = fc.array(name, { maxLength: 2 });
const clients: fc.Arbitrary<DownstreamTls["clients"]> = fc.oneof(
  fc.constant({ kind: "mesh" as const }),
  fc.record({
    kind: fc.constant("anyone" as const),
    names,
    leastVersion: fc.constantFrom("TLSv1.2" as const, "TLSv1.3" as const),
  }),
);

const originate: fc.Arbitrary<OriginateTls> = fc.record(
  {
    certificate: name,
    trust: fc.oneof(
      fc.record({ kind: fc.constant("secret" as const), name }),
      fc.constant({ kind: "public" as const }),
    ),
    sni: name,
    alpn: names,
    names,
  },
  { requiredKeys: ["trust", "alpn", "names"] },
);

const filterChain: fc.Arbitrary<FilterChain> = fc.record(
  {
    name,
    match: fc.record(
      {
        destinationPort: port,
        destinations: fc.array(fc.constantFrom("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"), {
          minLength: 1,
          maxLength: 2,
        }),
        transport: fc.constantFrom("tls" as const, "raw" as const),
        serverNames: fc.array(name, { minLength: 1, maxLength: 2 }),
        applicationProtocols: fc.array(name, { minLength: 1, maxLength: 2 }),
      },
      maybe,
    ),
    tls: fc.record({ requireClientCertificate: fc.boolean(), ...mutualTls, clients }),
    rbac: rbacs,
    filter,
  },
  { requiredKeys: ["name", "match", "rbac", "filter"] },
);

const direction = fc.constantFrom("inbound" as const, "outbound" as const);

const listener: fc.Arbitrary<Listener> = fc.record(
  {
    name,
    direction,
    address,
    port,
    bindToPort: fc.boolean(),
    proxyProtocol: fc.constantFrom("required" as const, "optional" as const),
    useOriginalDestination: fc.boolean(),
    filterChains: fc.array(filterChain, { maxLength: 3 }),
    defaultFilterChain: filterChain,
  },
  {
    requiredKeys: [
      "name",
      "direction",
      "address",
      "port",
      "bindToPort",
      "useOriginalDestination",
      "filterChains",
    ],
  },
);

const balancer: fc.Arbitrary<BalancerPolicy> = fc.oneof(
  fc.record({
    kind: fc.constantFrom(
      "least-request" as const,
      "peak-ewma" as const,
      "round-robin" as const,
      "random" as const,
    ),
  }),
  fc.record({
    kind: fc.constant("ring-hash" as const),
    minimumRingSize: fc.integer({ min: 1, max: 100_000 }),
  }),
  fc.record({ kind: fc.constant("maglev" as const), tableSize: fc.constantFrom(251, 65_537) }),
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
      },
      { requiredKeys: ["address", "port", "weight", "tls"] },
    )
    .chain((endpoint) => place.map((where) => ({ ...endpoint, ...where }))),
  { maxLength: 3 },
);

const cluster: fc.Arbitrary<Cluster> = fc
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
      panicPercent: fc.integer({ min: 1, max: 100 }),
      idleTimeoutMs: ms,
      maxRequestsPerConnection: fc.integer({ min: 1, max: 1_000 }),
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
  .map(({ slowStart, ...cluster }) => {
    // An original-destination cluster has no balancer of its own, and not all balancers know slow start.
    const isOriginal = cluster.discovery.kind === "original-destination";
    if (isOriginal) return { ...cluster, balancer: { kind: "round-robin" as const } };
    const { kind } = cluster.balancer;
    const isSlow = kind === "least-request" || kind === "round-robin" || kind === "peak-ewma";
    return slowStart !== undefined && isSlow ? { ...cluster, slowStart } : cluster;
  });

const endpoints: fc.Arbitrary<ClusterEndpoints> = fc.record(
  {
    cluster: name,
    endpoints: members,
    overprovisioningPercent: fc.integer({ min: 100, max: 300 }),
  },
  { requiredKeys: ["cluster", "endpoints"] },
);

function sorted<T>(items: fc.Arbitrary<T>, key: (item: T) => string): fc.Arbitrary<T[]> {
  return fc
    .uniqueArray(items, { selector: key, maxLength: 3 })
    .map((list) => list.sort((a, b) => (key(a) < key(b) ? -1 : 1)));
}

export const proxyConfig: fc.Arbitrary<ProxyConfig> = fc
  .record({
    listeners: sorted(listener, (listener) => listener.name),
    routes: sorted(routeConfig, (config) => config.name),
    clusters: sorted(cluster, (cluster) => cluster.name),
    endpoints: sorted(endpoints, (endpoints) => endpoints.cluster),
  })
  // Ordinary objects: fast-check also makes some without a prototype.
  .map((config) => structuredClone(config));
