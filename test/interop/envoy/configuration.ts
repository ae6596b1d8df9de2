/**
 * What both proxies are told: a listener whose routes are grouped by host, one host a subject, and a listener that
 * authorizes. Every forwarding route says its name to the application (`x-route`), so that the answer shows which it was.
 */

import type {
  Cluster,
  FilterChain,
  HeaderEdit,
  HeaderMatch,
  Listener,
  Locality,
  PathMatch,
  ProxyConfig,
  Rbac,
  Route,
  RouteAction,
  StringMatch,
  VirtualHost,
} from "../../../src/model/proxy-config.ts";
import { cluster, downstreamTls, endpoint } from "../../../src/proxy/testing/mesh.ts";

export interface Ports {
  readonly http1: number;
  readonly http2: number;
  /** Nobody listens there. */
  readonly dead: number;
}

export function configurationFor({ http1, http2, dead }: Ports): ProxyConfig {
  return {
    listeners: [guarded, open, secured],
    routes: [{ name: "routes", virtualHosts: hosts }],
    clusters: [
      ...["app", "dead", "empty", "other", "ranked"].map((name) => clusterOf(name)),
      h2,
      shared,
      watched,
    ],
    endpoints: [
      { cluster: "app", endpoints: [endpoint(http1)] },
      { cluster: "dead", endpoints: [endpoint(dead)] },
      { cluster: "empty", endpoints: [] },
      { cluster: "h2", endpoints: [endpoint(http2)] },
      { cluster: "other", endpoints: [endpoint(http1)] },
      // Who is unhealthy and who is far: one endpoint of two is left for each.
      {
        cluster: "ranked",
        endpoints: [
          endpoint(dead, { locality: place("near"), isUnhealthy: true }),
          endpoint(http1, { locality: place("far"), priority: 1 }),
        ],
      },
      {
        cluster: "shared",
        endpoints: [
          endpoint(http1, { locality: place("near"), localityWeight: 100 }),
          endpoint(dead, { locality: place("far"), localityWeight: 2, isUnhealthy: true }),
        ],
      },
      { cluster: "watched", endpoints: [endpoint(http1)] },
    ],
  };
}

function clusterOf(name: string): Cluster {
  return cluster(name, { balancer: { kind: "round-robin" } });
}

function place(zone: string): Locality {
  return { region: "eu", zone, subZone: "" };
}

const shared: Cluster = { ...clusterOf("shared"), isLocalityWeighted: true };

/** With all that a DestinationRule can say of connections, outliers and health. */
const watched: Cluster = {
  ...clusterOf("watched"),
  keepAlive: { timeMs: 30_000, intervalMs: 5_000, probes: 3 },
  maxConnectionDurationMs: 60_000,
  outlierDetection: {
    consecutive5xx: 5,
    consecutiveGatewayErrors: 0,
    consecutiveLocalOrigin: 5,
    successRate: { minimumHosts: 5, minimumRequests: 100, deviations: 1.9 },
    failurePercentage: { minimumHosts: 5, minimumRequests: 50, percent: 85 },
    intervalMs: 10_000,
    baseEjectionMs: 30_000,
    maxEjectionPercent: 10,
  },
  healthCheck: {
    probe: {
      kind: "http",
      path: "/",
      method: "GET",
      headers: [],
      expected: [{ from: 200, to: 399 }],
      retriable: [{ from: 400, to: 599 }],
    },
    timeoutMs: 1_000,
    intervalMs: 5_000,
    noTrafficIntervalMs: 5_000,
    unhealthyThreshold: 3,
    healthyThreshold: 1,
  },
};

const h2: Cluster = {
  ...clusterOf("h2"),
  protocol: "http/2",
  idleTimeoutMs: 60_000,
  maxConcurrentStreams: 100,
  http2KeepAlive: { intervalMs: 15_000, timeoutMs: 5_000 },
};

// ---- listeners -----------------------------------------------------------------------------------

function listenerOf(name: string, filter: FilterChain["filter"]): Listener {
  return {
    name,
    direction: "outbound",
    address: "127.0.0.1",
    port: 0,
    bindToPort: true,
    useOriginalDestination: false,
    filterChains: [{ name, match: {}, rbac: [], filter }],
  };
}

const open = listenerOf("open", {
  kind: "http",
  statPrefix: "open",
  translatesGrpcWeb: true,
  routes: { kind: "rds", name: "routes" },
  rbac: [],
});

const isMethod = (method: string): HeaderMatch => ({
  name: ":method",
  match: { kind: "exact", value: method },
  invert: false,
});

/** As an AuthorizationPolicy of each action makes them. */
const rules: readonly Rbac[] = [
  {
    action: "deny",
    policies: [
      {
        name: "deny-admin",
        permissions: [{ kind: "path", match: { kind: "prefix", value: "/admin" } }],
        principals: [{ kind: "any" }],
      },
      {
        name: "deny-delete-but-own",
        permissions: [
          {
            kind: "and",
            of: [
              { kind: "header", header: isMethod("DELETE") },
              { kind: "not", of: { kind: "path", match: { kind: "exact", value: "/own" } } },
            ],
          },
        ],
        principals: [{ kind: "any" }],
      },
    ],
  },
  {
    action: "allow",
    policies: [
      {
        name: "allow-local",
        permissions: [{ kind: "any" }],
        principals: [
          {
            kind: "and",
            of: [
              { kind: "source-ip", cidr: "127.0.0.0/8" },
              {
                kind: "header",
                header: { name: "x-user", match: { kind: "present" }, invert: false },
              },
            ],
          },
        ],
      },
      {
        name: "allow-authenticated",
        permissions: [{ kind: "any" }],
        principals: [
          {
            kind: "authenticated",
            match: { kind: "exact", value: "cluster.local/ns/shop/sa/web" },
          },
        ],
      },
      {
        name: "allow-public",
        permissions: [
          {
            kind: "or",
            of: [
              { kind: "path", match: { kind: "suffix", value: ".css" } },
              { kind: "path", match: { kind: "regex", value: "/public/[a-z]+" } },
            ],
          },
        ],
        principals: [{ kind: "any" }],
      },
    ],
  },
];

// ---- routes --------------------------------------------------------------------------------------

type Forward = Extract<RouteAction, { kind: "forward" }>;

function forward(to: string, more: Partial<Forward> = {}): Forward {
  return { kind: "forward", clusters: [{ cluster: to, weight: 100 }], timeoutMs: 0, ...more };
}

const anyPath: PathMatch = { kind: "prefix", value: "/" };

/** A route of this name; the application is told it. */
function to(name: string, match: Partial<Route["match"]> = {}, more: Partial<Route> = {}): Route {
  const { set = [], add = [], remove = [] }: Partial<HeaderEdit> = more.requestHeaders ?? {};
  return {
    name,
    action: forward("app"),
    ...more,
    match: { path: anyPath, headers: [], queryParameters: [], ...match },
    requestHeaders: { set: [...set, ["x-route", name]], add, remove },
  };
}

function host(name: string, ...routes: readonly Route[]): VirtualHost {
  return { name, domains: [name], routes };
}

const prefix = (value: string): PathMatch => ({ kind: "prefix", value });
const exact = (value: string): PathMatch => ({ kind: "exact", value });
const regex = (value: string): PathMatch => ({ kind: "regex", value });

function header(name: string, match: StringMatch, invert = false): Partial<Route["match"]> {
  return { headers: [{ name, match, invert }] };
}

function query(name: string, match: StringMatch): Partial<Route["match"]> {
  return { queryParameters: [{ name, match }] };
}

const retry = {
  attempts: 2,
  perTryTimeoutMs: 0,
  on: ["5xx", "reset", "connect-failure"],
  retriableStatusCodes: [],
  baseBackoffMs: 25,
  maxBackoffMs: 250,
};

const once = { maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 3_600_000 };

const redirects: readonly Route[] = [
  to("host", { path: exact("/host") }, redirectTo({ host: "new.test" })),
  to("path", { path: exact("/path") }, redirectTo({ path: "/elsewhere" })),
  to("prefix", { path: prefix("/old/") }, redirectTo({ prefixRewrite: "/new/", status: 302 })),
  to("scheme", { path: exact("/scheme") }, redirectTo({ scheme: "https" })),
  to("port", { path: exact("/port") }, redirectTo({ port: 8443, status: 307 })),
  to("default-port", { path: exact("/default-port") }, redirectTo({ scheme: "https", port: 443 })),
  to(
    "all",
    { path: exact("/all") },
    redirectTo({ host: "new.test", path: "/x?y=1", scheme: "https", port: 8443, status: 308 }),
  ),
];

function redirectTo(
  parts: Partial<Extract<RouteAction, { kind: "redirect" }>>,
): Pick<Route, "action"> {
  return { action: { kind: "redirect", status: 301, ...parts } };
}

const hosts: readonly VirtualHost[] = [
  host(
    "paths.test",
    to("exact", { path: exact("/exact") }),
    to("folder", { path: prefix("/shop/") }),
    to("bare-prefix", { path: prefix("/bare") }),
    to("regex", { path: regex("/v[0-9]+/items/[^/]+") }),
    to("ignore-case", { path: prefix("/CaSe"), ignoreCase: true }),
    to("named-group", { path: regex("/named/(?P<id>[[:digit:]]+)") }),
    to("rest"),
  ),
  host(
    "headers.test",
    to("exact", header("x-kind", { kind: "exact", value: "one" })),
    to("prefix", header("x-kind", { kind: "prefix", value: "two" })),
    to("suffix", header("x-kind", { kind: "suffix", value: "three" })),
    to("regex", header("x-kind", { kind: "regex", value: "[a-f]+" })),
    to("present", header("x-here", { kind: "present" })),
    to("post", header(":method", { kind: "exact", value: "POST" })),
    to("not-four", header("x-kind", { kind: "exact", value: "four" }, true)),
    to("rest"),
  ),
  host("absent.test", to("absent", header("x-gone", { kind: "present" }, true)), to("rest")),
  host(
    "query.test",
    to("exact", query("q", { kind: "exact", value: "a b" })),
    to("regex", query("q", { kind: "regex", value: "[0-9]+" })),
    to("present", query("p", { kind: "present" })),
    to("rest"),
  ),
  host(
    "weights.test",
    to(
      "weights",
      {},
      {
        action: forward("app", {
          clusters: [
            {
              cluster: "app",
              weight: 0,
              requestHeaders: { set: [["x-cluster", "app"]], add: [], remove: [] },
            },
            {
              cluster: "other",
              weight: 100,
              requestHeaders: { set: [["x-cluster", "other"]], add: [], remove: [] },
              responseHeaders: { set: [["x-from", "other"]], add: [], remove: ["x-internal"] },
            },
          ],
        }),
      },
    ),
  ),
  host(
    "rewrite.test",
    to("prefix", { path: prefix("/api/") }, { action: forward("app", { prefixRewrite: "/" }) }),
    to(
      "prefix-bare",
      { path: prefix("/bare") },
      { action: forward("app", { prefixRewrite: "/" }) },
    ),
    to("exact", { path: exact("/one") }, { action: forward("app", { prefixRewrite: "/other" }) }),
    to(
      "regex",
      { path: prefix("/swap/") },
      {
        action: forward("app", {
          regexRewrite: { pattern: "^/swap/([^/]+)/([^/]+)", substitution: "/\\2/\\1" },
        }),
      },
    ),
    to(
      "named-group",
      { path: prefix("/named/") },
      {
        action: forward("app", {
          regexRewrite: { pattern: "^/named/(?P<id>[0-9]+)", substitution: "/id-\\1" },
        }),
      },
    ),
    to(
      "every",
      { path: prefix("/every/") },
      {
        action: forward("app", { regexRewrite: { pattern: "[aeiou]", substitution: "<\\0>" } }),
      },
    ),
    to("host", { path: exact("/host") }, { action: forward("app", { hostRewrite: "new.test" }) }),
  ),
  host(
    "host.test",
    to(
      "cluster",
      {},
      {
        action: forward("app", {
          clusters: [
            { cluster: "app", weight: 0, hostRewrite: "never.test" },
            { cluster: "other", weight: 100, hostRewrite: "own.test" },
          ],
        }),
      },
    ),
  ),
  host("redirect.test", ...redirects),
  host(
    "respond.test",
    to(
      "body",
      { path: exact("/body") },
      {
        action: { kind: "respond", status: 418, body: "a teapot" },
        responseHeaders: { set: [["x-said", "here"]], add: [], remove: [] },
      },
    ),
    to("empty", { path: exact("/empty") }, { action: { kind: "respond", status: 503, body: "" } }),
  ),
  host(
    "edits.test",
    to(
      "request",
      { path: exact("/request") },
      {
        requestHeaders: {
          set: [["x-set", "new"]],
          add: [["x-add", "second"]],
          remove: ["x-gone"],
        },
      },
    ),
    to(
      "response",
      { path: exact("/response") },
      {
        responseHeaders: {
          set: [["x-app", "proxy"]],
          add: [
            ["x-more", "one"],
            ["x-more", "two"],
          ],
          remove: ["x-internal"],
        },
      },
    ),
    to(
      "append",
      { path: exact("/append") },
      {
        responseHeaders: { set: [], add: [["x-app", "proxy"]], remove: [] },
      },
    ),
  ),
  host(
    "cors.test",
    to(
      "cors",
      {},
      {
        cors: {
          origins: [
            { kind: "exact", value: "https://shop.test" },
            { kind: "regex", value: "https://.*[.]friends[.]test" },
          ],
          methods: ["GET", "POST"],
          headers: ["x-token"],
          exposedHeaders: ["x-total"],
          maxAgeMs: 60_000,
          allowsCredentials: true,
          forwardsUnmatchedPreflights: false,
        },
      },
    ),
  ),
  host(
    "fault.test",
    to("abort", { path: exact("/abort") }, { fault: { abort: { percent: 100, status: 429 } } }),
    to("delay", { path: exact("/delay") }, { fault: { delay: { percent: 100, fixedMs: 30 } } }),
    to("none", { path: exact("/none") }, { fault: { abort: { percent: 0, status: 429 } } }),
  ),
  host(
    "time.test",
    to("timeout", { path: exact("/timeout") }, { action: forward("app", { timeoutMs: 400 }) }),
    to(
      "per-try",
      { path: exact("/per-try") },
      {
        action: forward("app", {
          timeoutMs: 2_000,
          retry: { ...retry, attempts: 1, perTryTimeoutMs: 250 },
        }),
      },
    ),
  ),
  host(
    "retry.test",
    to("5xx", { path: exact("/5xx") }, { action: forward("app", { retry }) }),
    to(
      "statuses",
      { path: exact("/statuses") },
      {
        action: forward("app", {
          retry: { ...retry, on: ["retriable-status-codes"], retriableStatusCodes: [409] },
        }),
      },
    ),
    to("dead", { path: exact("/dead") }, { action: forward("dead", { retry }) }),
  ),
  host("dead.test", to("dead", {}, { action: forward("dead") })),
  host("empty.test", to("empty", {}, { action: forward("empty") })),
  host("missing.test", to("missing", {}, { action: forward("missing") })),
  host("h2.test", to("h2", {}, { action: forward("h2") })),
  host(
    "limited.test",
    to("once", { path: exact("/once") }, { rateLimit: once }),
    to("rest", { path: exact("/rest") }),
  ),
  host(
    "mirrored.test",
    to(
      "mirrored",
      {},
      { action: forward("app", { mirrors: [{ cluster: "dead", percent: 100 }] }) },
    ),
  ),
  host("ranked.test", to("ranked", {}, { action: forward("ranked") })),
  host("shared.test", to("shared", {}, { action: forward("shared") })),
  host("watched.test", to("watched", {}, { action: forward("watched") })),
  host("plain.test", to("plain")),
  host("*.wild.test", to("suffix")),
  host("start.*", to("prefix")),
  host("*.longer.wild.test", to("longer-suffix")),
  host("ported.test:8080", to("with-port")),
  host("ported.test", to("without-port")),
];

const guarded = listenerOf("guarded", {
  kind: "http",
  statPrefix: "guarded",
  translatesGrpcWeb: true,
  routes: { kind: "inline", config: { name: "guarded", virtualHosts: [host("*", to("guarded"))] } },
  rbac: rules,
});

/** The same in front of an application: callers prove who they are. */
const secured: Listener = {
  ...guarded,
  name: "secured",
  direction: "inbound",
  filterChains: guarded.filterChains.map((chain) => ({ ...chain, tls: downstreamTls })),
};
