/** Random routes. */

import fc from "fast-check";
import type {
  Cors,
  HashKey,
  HeaderEdit,
  RateLimit,
  Route,
  RouteAction,
  RouteConfig,
  WeightedCluster,
} from "../../../src/model/proxy-config.ts";
import {
  headerMatch,
  maybe,
  metadata,
  ms,
  name,
  pairs,
  percent,
  port,
  regex,
  stringMatch,
  text,
} from "./values.ts";

const headerEdit: fc.Arbitrary<HeaderEdit> = fc
  .record({ set: pairs, add: pairs, remove: fc.array(name, { maxLength: 2 }) })
  .filter((edit) => edit.set.length + edit.add.length + edit.remove.length > 0);

const edits = { requestHeaders: headerEdit, responseHeaders: headerEdit };

const weighted: fc.Arbitrary<WeightedCluster> = fc.record(
  {
    cluster: name,
    weight: fc.integer({ min: 0, max: 100 }),
    hostRewrite: name,
    metadata,
    ...edits,
  },
  { requiredKeys: ["cluster", "weight"] },
);
export const plainWeighted: fc.Arbitrary<WeightedCluster> = fc.record({
  cluster: name,
  weight: fc.integer({ min: 1, max: 100 }),
});

const retry = fc.record(
  {
    attempts: fc.integer({ min: 0, max: 10 }),
    perTryTimeoutMs: ms,
    on: fc.uniqueArray(fc.constantFrom("5xx", "connect-failure", "reset"), { maxLength: 3 }),
    retriableStatusCodes: fc.array(fc.integer({ min: 100, max: 599 }), { maxLength: 3 }),
    baseBackoffMs: fc.integer({ min: 1, max: 1000 }),
    maxBackoffMs: fc.integer({ min: 1, max: 10_000 }),
    mayRepeatHosts: fc.constant(true as const),
    triesAtPriorities: fc.integer({ min: 1, max: 10 }),
  },
  {
    requiredKeys: [
      "attempts",
      "perTryTimeoutMs",
      "on",
      "retriableStatusCodes",
      "baseBackoffMs",
      "maxBackoffMs",
    ],
  },
);

const attributes = fc.array(fc.tuple(name, fc.constantFrom("", "Lax")), {
  minLength: 1,
  maxLength: 2,
});

const hashKey: fc.Arbitrary<HashKey> = fc.oneof(
  fc.record({ kind: fc.constantFrom("header" as const, "query" as const), name }),
  fc.record({ kind: fc.constant("source-ip" as const) }),
  fc.record(
    { kind: fc.constant("cookie" as const), name, path: text, ttlMs: ms, attributes },
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
      metadata,
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

export const rateLimit: fc.Arbitrary<RateLimit> = fc.record({
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
        abort: fc.oneof(
          fc.record({ percent, status: fc.integer({ min: 200, max: 599 }) }),
          fc.record({ percent, grpcStatus: fc.nat(16) }),
        ),
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
