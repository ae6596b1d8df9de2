/** Where requests of a pod go, as Istio's sidecars send them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import type { World } from "../registry/world.ts";
import { type OutboundRequest, walkOutbound } from "./walk.ts";

const shop = `
  pods:
    shop/web: {}
    shop/cart-v1: { labels: { app: cart, version: v1 }, account: cart }
    shop/cart-v2: { labels: { app: cart, version: v2 }, account: cart }
    shop/db: {}
    other/guest: {}
  services:
    shop/cart: { ports: { http: 80>8080 } }
    shop/db: { ports: { tcp-sql: 5432 } }
    shop/legacy: { selector: { app: cart }, ports: { main: 9000 } }
    other/guest: { ports: { http: 80 } }
`;
const subsets = `
kind: DestinationRule
metadata: { name: cart }
spec:
  host: cart
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
`;

function routes(http: string, hosts = "[cart]"): string {
  return `
kind: VirtualService
metadata: { name: cart }
spec:
  hosts: ${hosts}
  http:
${http}
`;
}

/** `v1 90%, v2 10%`: subsets or clusters with their shares. */
function split(world: World, request: HttpNotation | OutboundRequest, from = "shop/web"): string {
  const walk = walkOutbound(compileFor(world, from).value, expanded(request));
  if (walk.destinations.length === 0) return describeAnswer(walk.route?.action.kind);
  return walk.destinations
    .map(({ cluster, share, endpoints }) => {
      const parts = cluster.split("|");
      const subset = parts[2] === "" || parts[2] === undefined ? cluster : parts[2];
      const empty = endpoints?.length === 0 ? " (empty)" : "";
      return `${subset}${share === 1 ? "" : ` ${Math.round(share * 100)}%`}${empty}`;
    })
    .join(", ");
}

function describeAnswer(kind: string | undefined): string {
  return kind ?? "404";
}

interface HttpNotation {
  readonly to?: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const addresses: Readonly<Record<string, string>> = { cart: "10.96.0.1", guest: "10.96.0.4" };

function expanded(request: HttpNotation | OutboundRequest): OutboundRequest {
  if ("address" in request) return request;
  const { to: host = "cart", path, method, headers } = request;
  const service = host.split(/[.:]/)[0] ?? "";
  return {
    address: addresses[service] ?? "192.0.2.9",
    port: 80,
    http: {
      host,
      ...(path === undefined ? {} : { path }),
      ...(method === undefined ? {} : { method }),
      ...(headers === undefined ? {} : { headers }),
    },
  };
}

const cart = "outbound|80||cart.shop.svc.cluster.local";

describe("a request to a Service", () => {
  const world = meshWorld(shop);

  const names: readonly (readonly [from: string, host: string, to: string])[] = [
    ["shop/web", "cart", cart],
    ["shop/web", "cart:80", cart],
    ["shop/web", "cart.shop", cart],
    ["shop/web", "cart.shop.svc", cart],
    ["shop/web", "cart.shop.svc.cluster.local", cart],
    ["shop/web", "Cart.Shop.svc.cluster.local:80", cart],
    ["shop/web", "10.96.0.1", cart],
    ["shop/web", "10.96.0.1:80", cart],
    ["other/guest", "cart.shop", cart],
    ["other/guest", "cart", "PassthroughCluster"],
    ["shop/web", "guest", "PassthroughCluster"],
    ["shop/web", "guest.other", "outbound|80||guest.other.svc.cluster.local"],
    ["shop/web", "example.com", "PassthroughCluster"],
  ];
  for (const [from, host, to] of names) {
    test(`from ${from} with Host ${host} goes to ${to}`, () => {
      assert.equal(split(world, { to: host }, from), to);
    });
  }

  test("has the endpoints of its ready pods, at their own port, with mesh TLS and the accounts behind it", () => {
    const { value } = compileFor(world, "shop/web");
    const [destination] = walkOutbound(value, expanded({})).destinations;
    assert.deepEqual(
      destination?.endpoints?.map(({ address, port, tls }) => `${address}:${port} ${tls}`),
      ["10.244.0.2:8080 true", "10.244.0.3:8080 true"],
    );
    const cluster = value.clusters.find(({ name }) => name === cart);
    assert.deepEqual(cluster?.tls?.subjectAltNames, ["spiffe://cluster.local/ns/shop/sa/cart"]);
    assert.equal(cluster?.tls?.sni, "outbound_.80_._.cart.shop.svc.cluster.local");
    assert.equal(cluster?.balancer.kind, "least-request");
  });

  test("over TCP is told by its address", () => {
    const to = { address: "10.96.0.2", port: 5432 };
    assert.equal(split(world, to), "outbound|5432||db.shop.svc.cluster.local");
    assert.equal(split(world, { address: "10.96.0.9", port: 5432 }), "PassthroughCluster");
  });

  test("on a port that nobody named is HTTP or TCP as its bytes say", () => {
    const address = "10.96.0.3";
    const legacy = "outbound|9000||legacy.shop.svc.cluster.local";
    assert.equal(split(world, { address, port: 9000 }), legacy);
    assert.equal(split(world, { address, port: 9000, http: { host: "whatever" } }), legacy);
  });

  test("that is no HTTP on an HTTP port goes where it wanted to go", () => {
    assert.equal(split(world, { address: "10.96.0.1", port: 80 }), "PassthroughCluster");
  });

  test("that exports itself to its own namespace is not seen from others", () => {
    const hidden = shop.replace(
      "shop/cart: { ports",
      "shop/cart: { annotations: { networking.istio.io/exportTo: . }, ports",
    );
    assert.equal(
      split(meshWorld(hidden), { to: "cart.shop" }, "other/guest"),
      "PassthroughCluster",
    );
    assert.equal(split(meshWorld(hidden), { to: "cart.shop" }), cart);
  });

  test("has two more tries by default, on what cannot have reached the application", () => {
    const { value } = compileFor(world, "shop/web");
    const { route } = walkOutbound(value, expanded({}));
    assert.ok(route?.action.kind === "forward");
    assert.deepEqual(route.action.retry, {
      attempts: 2,
      perTryTimeoutMs: 0,
      on: [
        "connect-failure",
        "refused-stream",
        "unavailable",
        "cancelled",
        "retriable-status-codes",
      ],
      retriableStatusCodes: [503],
      baseBackoffMs: 25,
      maxBackoffMs: 250,
    });
    assert.equal(route.action.timeoutMs, 0);
  });
});

describe("a headless Service", () => {
  const world = meshWorld(`
    pods:
      shop/web: {}
      shop/db-0: { labels: { app: db }, hostname: db-0.db }
      shop/db-1: { labels: { app: db } }
    services:
      shop/db: { headless: true, ports: { tcp-sql: 5432>5433, http: 80 } }
  `);

  test("is reached over TCP at the pod that the application chose, with mesh TLS", () => {
    const { value } = compileFor(world, "shop/web");
    const walk = walkOutbound(value, { address: "10.244.0.2", port: 5433 });
    assert.deepEqual(
      walk.destinations.map(({ cluster, endpoints }) => [cluster, endpoints?.[0]?.address]),
      [["outbound|5432||db-0.db.shop.svc.cluster.local", "10.244.0.2"]],
    );
    assert.equal(walk.destinations[0]?.endpoints?.[0]?.tls, true);
  });

  test("is reached over HTTP by the name of one pod, and by its own name at any", () => {
    const at = (host: string): string =>
      split(world, { address: "10.244.0.2", port: 80, http: { host } });
    assert.equal(at("db-0.db"), "outbound|80||db-0.db.shop.svc.cluster.local");
    assert.equal(at("10-244-0-3.db.shop"), "outbound|80||10-244-0-3.db.shop.svc.cluster.local");
    assert.equal(at("db"), "outbound|80||db.shop.svc.cluster.local");
  });
});

describe("a VirtualService", () => {
  const both = (http: string, hosts?: string): World =>
    meshWorld(shop, subsets, routes(http, hosts));

  test("splits by weight", () => {
    const world = both(`
    - route:
        - { destination: { host: cart, subset: v1 }, weight: 90 }
        - { destination: { host: cart, subset: v2 }, weight: 10 }`);
    assert.equal(split(world, {}), "v1 90%, v2 10%");
  });

  test("leaves out weights of zero", () => {
    const world = both(`
    - route:
        - { destination: { host: cart, subset: v1 }, weight: 100 }
        - { destination: { host: cart, subset: v2 }, weight: 0 }`);
    assert.equal(split(world, {}), "v1");
  });

  const matches: readonly (readonly [match: string, request: HttpNotation, hit: boolean])[] = [
    ["uri: { exact: /a }", { path: "/a" }, true],
    ["uri: { exact: /a }", { path: "/a?q=1" }, true],
    ["uri: { exact: /a }", { path: "/a/" }, false],
    ["uri: { prefix: /a }", { path: "/ab" }, true],
    ["uri: { regex: '/v[0-9]+/.*' }", { path: "/v2/x" }, true],
    ["uri: { regex: '/v[0-9]+' }", { path: "/v2/x" }, false],
    ["{ uri: { prefix: /A }, ignoreUriCase: true }", { path: "/ab" }, true],
    ["uri: { prefix: /A }", { path: "/ab" }, false],
    ["method: { exact: POST }", { method: "POST" }, true],
    ["method: { exact: POST }", { method: "GET" }, false],
    ["headers: { End-User: { exact: jason } }", { headers: { "end-user": "jason" } }, true],
    ["headers: { end-user: { exact: jason } }", { headers: { "end-user": "eve" } }, false],
    ["headers: { end-user: {} }", { headers: { "end-user": "eve" } }, true],
    ["headers: { end-user: {} }", {}, false],
    ["withoutHeaders: { end-user: { exact: jason } }", {}, true],
    ["withoutHeaders: { end-user: { exact: jason } }", { headers: { "end-user": "jason" } }, false],
    ["withoutHeaders: { end-user: {} }", { headers: { "end-user": "x" } }, false],
    ["authority: { prefix: cart.shop }", { to: "cart.shop.svc" }, true],
    ["authority: { prefix: cart.shop }", { to: "cart" }, false],
    ["queryParams: { q: { exact: '1' } }", { path: "/?a=0&q=1" }, true],
    ["queryParams: { q: { exact: '1' } }", { path: "/" }, false],
    ["port: 80", {}, true],
    ["port: 81", {}, false],
    ["sourceLabels: { app: web }", {}, true],
    ["sourceLabels: { app: else }", {}, false],
    ["sourceNamespace: shop", {}, true],
    ["sourceNamespace: other", {}, false],
    ["gateways: [shop/ingress]", {}, false],
    ["gateways: [mesh]", {}, true],
    ["{ uri: { prefix: /a }, method: { exact: GET } }", { path: "/a", method: "POST" }, false],
  ];
  for (const [match, request, hit] of matches) {
    test(`matching ${match} ${hit ? "takes" : "leaves"} ${JSON.stringify(request)}`, () => {
      const world = both(`
    - match: [${match.startsWith("{") ? match : `{ ${match} }`}]
      route: [{ destination: { host: cart, subset: v2 } }]
    - route: [{ destination: { host: cart, subset: v1 } }]`);
      assert.equal(split(world, request), hit ? "v2" : "v1");
    });
  }

  test("takes the first rule that matches, any of its matches", () => {
    const world = both(`
    - match: [{ uri: { prefix: /a } }, { uri: { prefix: /b } }]
      route: [{ destination: { host: cart, subset: v2 } }]
    - match: [{ uri: { prefix: /b } }]
      redirect: { uri: /never }
    - route: [{ destination: { host: cart, subset: v1 } }]`);
    assert.equal(split(world, { path: "/b" }), "v2");
    assert.equal(split(world, { path: "/c" }), "v1");
  });

  test("without a rule that matches answers 404", () => {
    const world = both(`
    - match: [{ uri: { prefix: /a } }]
      route: [{ destination: { host: cart } }]`);
    assert.equal(split(world, { path: "/b" }), "404");
  });

  test("redirects, answers, rewrites, waits, retries, edits and injects as it says", () => {
    const world = both(`
    - match: [{ uri: { prefix: /old } }]
      redirect: { uri: /new, authority: new.example, redirectCode: 302 }
    - match: [{ uri: { prefix: /teapot } }]
      directResponse: { status: 418, body: { string: short and stout } }
    - name: main
      match: [{ name: m, uri: { prefix: / } }]
      rewrite: { uri: /v1/, authority: cart.internal }
      timeout: 1.5s
      retries: { attempts: 3, perTryTimeout: 500ms, retryOn: "5xx,503" }
      headers: { request: { set: { a: b } }, response: { remove: [c] } }
      fault: { delay: { percentage: { value: 10 }, fixedDelay: 2s }, abort: { httpStatus: 500 } }
      route: [{ destination: { host: cart } }]`);
    const { value } = compileFor(world, "shop/web");
    const at = (path: string): ReturnType<typeof walkOutbound> =>
      walkOutbound(value, expanded({ path }));
    assert.deepEqual(at("/old").route?.action, {
      kind: "redirect",
      status: 302,
      host: "new.example",
      path: "/new",
    });
    assert.deepEqual(at("/teapot").route?.action, {
      kind: "respond",
      status: 418,
      body: "short and stout",
    });
    const { route } = at("/");
    assert.equal(route?.name, "main.m");
    assert.equal(route?.origin, "shop/cart");
    assert.ok(route?.action.kind === "forward");
    assert.equal(route.action.prefixRewrite, "/v1/");
    assert.equal(route.action.hostRewrite, "cart.internal");
    assert.equal(route.action.timeoutMs, 1500);
    assert.deepEqual(route.action.retry?.on, ["5xx", "retriable-status-codes"]);
    assert.deepEqual(route.action.retry?.retriableStatusCodes, [503]);
    assert.equal(route.action.retry?.perTryTimeoutMs, 500);
    assert.deepEqual(route.requestHeaders, { set: [["a", "b"]], add: [], remove: [] });
    assert.deepEqual(route.responseHeaders, { set: [], add: [], remove: ["c"] });
    assert.deepEqual(route.fault, {
      delay: { percent: 10, fixedMs: 2000 },
      abort: { percent: 100, status: 500 },
    });
  });

  test("rewrites the host where headers set it, which an Envoy takes for no edit", () => {
    const world = both(`
    - headers: { request: { set: { Host: rule.test, a: b }, remove: [host] } }
      route:
      - { destination: { host: cart }, weight: 50, headers: { request: { set: { host: own.test } } } }
      - { destination: { host: cart }, weight: 50 }`);
    const { value } = compileFor(world, "shop/web");
    const { route } = walkOutbound(value, expanded({ path: "/" }));
    assert.ok(route?.action.kind === "forward");
    assert.equal(route.action.hostRewrite, "rule.test");
    assert.deepEqual(route.requestHeaders, { set: [["a", "b"]], add: [], remove: [] });
    const hosts = route.action.clusters.map(({ hostRewrite }) => hostRewrite);
    assert.deepEqual(hosts, ["own.test", undefined]);
  });

  test("shares with origins, rewrites by expression, and redirects by prefix", () => {
    const world = both(`
    - match: [{ uri: { prefix: /old } }]
      redirect: { prefixRewrite: /new, derivePort: FROM_REQUEST_PORT }
    - rewrite: { uriRegexRewrite: { match: "^/a/(.*)$", rewrite: '/\\1' } }
      corsPolicy:
        allowOrigins: [{ exact: "https://a.example" }]
        allowMethods: [GET]
        maxAge: 1h
        unmatchedPreflights: IGNORE
      retries: { attempts: 1, backoff: 100ms }
      route: [{ destination: { host: cart } }]`);
    const { value } = compileFor(world, "shop/web");
    const at = (path: string) => walkOutbound(value, expanded({ path })).route;
    assert.deepEqual(at("/old/x")?.action, {
      kind: "redirect",
      status: 301,
      prefixRewrite: "/new",
      port: 80,
    });
    const route = at("/a/b");
    assert.ok(route?.action.kind === "forward");
    assert.deepEqual(route.action.regexRewrite, { pattern: "^/a/(.*)$", substitution: "/\\1" });
    assert.equal(route.action.retry?.baseBackoffMs, 100);
    assert.deepEqual(route.cors, {
      origins: [{ kind: "exact", value: "https://a.example" }],
      methods: ["GET"],
      headers: [],
      exposedHeaders: [],
      maxAgeMs: 3_600_000,
      forwardsUnmatchedPreflights: false,
    });
  });

  test("turns retries off with no attempts", () => {
    const world = both(`
    - retries: { attempts: 0 }
      route: [{ destination: { host: cart } }]`);
    const { route } = walkOutbound(compileFor(world, "shop/web").value, expanded({}));
    assert.ok(route?.action.kind === "forward");
    assert.equal(route.action.retry, undefined);
  });

  test("for gateways only, or exported elsewhere, does not apply to sidecars", () => {
    const rule = "    - redirect: { uri: /x }";
    const bound = routes(rule).replace("hosts:", "gateways: [ingress]\n  hosts:");
    assert.equal(split(meshWorld(shop, bound), {}), cart);
    const exported = routes(rule).replace("hosts:", "exportTo: [other]\n  hosts:");
    assert.equal(split(meshWorld(shop, exported), {}), cart);
    assert.equal(split(meshWorld(shop, exported), { to: "cart.shop" }, "other/guest"), "redirect");
  });

  const mirrors: readonly (readonly [written: string, copies: readonly string[]])[] = [
    ["mirror: { host: cart, subset: v2 }", ["v2 100"]],
    ["mirror: { host: cart, subset: v2 }, mirrorPercentage: { value: 2.5 }", ["v2 2.5"]],
    ["mirror: { host: cart, subset: v2 }, mirror_percent: 7", ["v2 7"]],
    ["mirror: { host: cart, subset: v2 }, mirrorPercentage: { value: 0 }", []],
    [
      "mirrors: [{ destination: { host: cart, subset: v1 }, percentage: { value: 10 } }, { destination: { host: cart, subset: v2 } }]",
      ["v1 10", "v2 100"],
    ],
  ];
  for (const [written, copies] of mirrors) {
    test(`with ${written} copies ${copies.join(", ") || "nothing"}`, () => {
      const world = both(`    - { route: [{ destination: { host: cart } }], ${written} }`);
      const action = walkOutbound(compileFor(world, "shop/web").value, expanded({})).route?.action;
      assert.ok(action?.kind === "forward");
      assert.deepEqual(
        (action.mirrors ?? []).map(({ cluster, percent }) => `${cluster.split("|")[2]} ${percent}`),
        copies,
      );
    });
  }

  test("with a local rate limit has it at each of its routes", () => {
    const limited = routes("    - route: [{ destination: { host: cart } }]").replace(
      "name: cart }",
      `name: cart, annotations: { heddle.dev/local-rate-limit: '{"requests":7}' } }`,
    );
    const walk = walkOutbound(compileFor(meshWorld(shop, limited), "shop/web").value, expanded({}));
    const wanted = { maxTokens: 7, tokensPerFill: 7, fillIntervalMs: 1_000 };
    assert.deepEqual(walk.route?.rateLimit, wanted);
  });

  test("with hedging has it at each of its routes", () => {
    for (const [setting, wanted] of [
      ['{"hedgingDelay":"50ms"}', { kind: "delay", delayMs: 50 }],
      ['{"percentile":95}', { kind: "percentile", percent: 95 }],
    ] as const) {
      const hedged = routes("    - route: [{ destination: { host: cart } }]").replace(
        "name: cart }",
        `name: cart, annotations: { heddle.dev/hedge: '${setting}' } }`,
      );
      const { value } = compileFor(meshWorld(shop, hedged), "shop/web");
      const action = walkOutbound(value, expanded({})).route?.action;
      assert.ok(action?.kind === "forward");
      assert.deepEqual(action.hedge, wanted);
    }
  });

  test("with compression has it at each of its routes", () => {
    const compressed = routes("    - route: [{ destination: { host: cart } }]").replace(
      "name: cart }",
      `name: cart, annotations: { heddle.dev/compression: '{"minBytes":10,"contentTypes":["Text/HTML"]}' } }`,
    );
    const { value } = compileFor(meshWorld(shop, compressed), "shop/web");
    const wanted = { algorithms: ["br", "gzip"], minBytes: 10, contentTypes: ["text/html"] };
    assert.deepEqual(walkOutbound(value, expanded({})).route?.compression, wanted);
  });

  test("says which mirror leads nowhere", () => {
    const world = both(
      "    - { route: [{ destination: { host: cart } }], mirror: { host: gone } }",
    );
    const { diagnostics } = compileFor(world, "shop/web");
    assert.deepEqual(
      diagnostics.map(({ code, where }) => `${code} ${where}`),
      ["HEDDLE0101 VirtualService shop/cart spec.http[0].mirror.host"],
    );
  });

  test("of a more specific host wins; of equals the older", () => {
    const named = (name: string, host: string, uri: string, created: string): string => `
kind: VirtualService
metadata: { name: ${name}, creationTimestamp: "${created}" }
spec: { hosts: ["${host}"], http: [{ redirect: { uri: ${uri} } }] }
`;
    const world = meshWorld(
      shop,
      named("wild", "*.shop.svc.cluster.local", "/wild", "2020"),
      named("late", "cart", "/late", "2024"),
      named("early", "cart.shop.svc.cluster.local", "/early", "2023"),
    );
    const { value } = compileFor(world, "shop/web");
    const action = walkOutbound(value, expanded({})).route?.action;
    assert.ok(action?.kind === "redirect");
    assert.equal(action.path, "/early");
    const legacy = { address: "10.96.0.3", port: 9000, http: { host: "legacy" } };
    const wild = walkOutbound(value, legacy).route?.action;
    assert.ok(wild?.kind === "redirect");
    assert.equal(wild.path, "/wild");
  });

  test("for a host that is no Service takes the requests to it", () => {
    const world = both("    - route: [{ destination: { host: cart } }]", `["*.example.com"]`);
    assert.equal(split(world, { to: "www.example.com" }), cart);
    assert.equal(split(world, { to: "example.com" }), "PassthroughCluster");
  });

  test("routes TCP by port and caller", () => {
    const world = meshWorld(
      shop,
      `
kind: VirtualService
metadata: { name: db }
spec:
  hosts: [db]
  tcp:
    - match: [{ port: 5432, sourceLabels: { app: web } }]
      route:
        - { destination: { host: db }, weight: 80 }
        - { destination: { host: legacy }, weight: 20 }
`,
    );
    const to = { address: "10.96.0.2", port: 5432 };
    assert.deepEqual(
      walkOutbound(compileFor(world, "shop/web").value, to).destinations.map(
        ({ cluster, share }) => `${cluster} ${share}`,
      ),
      [
        "outbound|5432||db.shop.svc.cluster.local 0.8",
        "outbound|9000||legacy.shop.svc.cluster.local 0.2",
      ],
    );
    assert.equal(split(world, to, "other/guest"), "outbound|5432||db.shop.svc.cluster.local");
  });

  test("that names a subset that nobody defines has nowhere to go, and says so", () => {
    const world = meshWorld(
      shop,
      routes("    - route: [{ destination: { host: cart, subset: v9 } }]"),
    );
    assert.equal(split(world, {}), "v9 (empty)");
    const { diagnostics, value } = compileFor(world, "shop/web");
    assert.deepEqual(
      diagnostics.map(({ code, where }) => `${code} ${where}`),
      ["HEDDLE0102 VirtualService shop/cart spec.http[0].route[0].destination.subset"],
    );
    assert.ok(value.clusters.some(({ name }) => name.includes("|v9|")));
  });

  test("that names a host or port that is not there says so", () => {
    const notes = (destination: string): readonly string[] =>
      compileFor(
        meshWorld(shop, routes(`    - route: [{ destination: ${destination} }]`)),
        "shop/web",
      ).diagnostics.map(({ code }) => code);
    assert.deepEqual(notes("{ host: nowhere }"), ["HEDDLE0101"]);
    assert.deepEqual(notes("{ host: cart.shop }"), ["HEDDLE0101"]);
    assert.deepEqual(notes("{ host: cart, port: { number: 1234 } }"), ["HEDDLE0103"]);
  });
});

describe("a DestinationRule's settings of TCP", () => {
  const tcp = `{ idleTimeout: 0s, maxConnectionDuration: 10m, tcpKeepalive: { time: 30s, interval: 5s, probes: 3 } }`;
  const rule = `
kind: DestinationRule
metadata: { name: db }
spec: { host: db, trafficPolicy: { connectionPool: { tcp: ${tcp} } } }
`;
  const { value } = compileFor(meshWorld(shop, rule), "shop/web");

  test("are the cluster's, and of the listener that leads to it", () => {
    const db = value.clusters.find(({ service }) => service?.name === "db");
    assert.deepEqual(
      [db?.maxConnectionDurationMs, db?.keepAlive],
      [600_000, { timeMs: 30_000, intervalMs: 5_000, probes: 3 }],
    );
    const idle = value.listeners
      .flatMap(({ name, filterChains, defaultFilterChain: last }) =>
        [...filterChains, ...(last === undefined ? [] : [last])].map(({ filter }) => ({
          name,
          filter,
        })),
      )
      .flatMap(({ name, filter }) =>
        filter.kind === "tcp" && filter.idleTimeoutMs !== undefined
          ? [`${name} ${filter.idleTimeoutMs}`]
          : [],
      );
    assert.deepEqual(idle, ["10.96.0.2_5432 0"]);
  });
});

describe("a DestinationRule with a PROXY protocol", () => {
  const header = (policy: string) => {
    const rule = `
kind: DestinationRule
metadata: { name: cart }
spec: { host: cart, trafficPolicy: ${policy} }
`;
    const { value, diagnostics } = compileFor(meshWorld(shop, rule), "shop/web");
    const found = value.clusters.find(({ name }) => name === cart)?.proxyProtocol;
    return [found, ...diagnostics.map(({ code, where }) => `${code} ${where}`)];
  };

  test("has it written in the clear, and says where nothing is in the clear", () => {
    assert.deepEqual(header("{ proxyProtocol: { version: V2 } }"), ["v2"]);
    assert.deepEqual(header("{ proxyProtocol: {}, tls: { mode: DISABLE } }"), ["v1"]);
    assert.deepEqual(header("{ proxyProtocol: {}, tls: { mode: ISTIO_MUTUAL } }"), [
      undefined,
      "HEDDLE0108 DestinationRule shop/cart spec.trafficPolicy.proxyProtocol",
    ]);
  });
});

describe("a DestinationRule with statistical outlier detection", () => {
  const detection = (annotation: string, policy = "{ outlierDetection: {} }") => {
    const rule = `
kind: DestinationRule
metadata: { name: cart, annotations: { heddle.dev/outlier-detection: '${annotation}' } }
spec: { host: cart, trafficPolicy: ${policy} }
`;
    const { clusters } = compileFor(meshWorld(shop, rule), "shop/web").value;
    return clusters.find(({ name }) => name === cart)?.outlierDetection;
  };

  test("has the detectors of which it says something, with Envoy's defaults for the rest", () => {
    const both = detection('{"failurePercentageThreshold":40,"successRateStdevFactor":1500}');
    assert.deepEqual(both?.failurePercentage, {
      minimumHosts: 5,
      minimumRequests: 50,
      percent: 40,
    });
    assert.deepEqual(both?.successRate, {
      minimumHosts: 5,
      minimumRequests: 100,
      deviations: 1.5,
    });
    assert.equal(detection('{"failurePercentageThreshold":40}')?.successRate, undefined);
    assert.equal(detection('{"failurePercentageThreshold":40}', "{}"), undefined);
  });

  test("counts failures of its own kinds apart where they are split", () => {
    const split =
      "{ outlierDetection: { splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 7, consecutiveGatewayErrors: 3 } }";
    const { consecutiveLocalOrigin, consecutiveGatewayErrors } = detection("{}", split) ?? {};
    assert.deepEqual([consecutiveLocalOrigin, consecutiveGatewayErrors], [7, 3]);
  });
});

describe("a DestinationRule with a health check", () => {
  const checks = (probe: string): readonly string[] => {
    const rule = `
kind: DestinationRule
metadata: { name: all, annotations: { heddle.dev/health-check: '${probe}' } }
spec: { host: "*.shop.svc.cluster.local" }
`;
    return compileFor(meshWorld(shop, rule), "shop/web").value.clusters.flatMap(
      ({ name, healthCheck }) =>
        healthCheck === undefined
          ? []
          : [
              `${name.split("|")[3]?.split(".")[0]} ${healthCheck.probe.kind} ${healthCheck.intervalMs}`,
            ],
    );
  };

  test("has it at the ports that can be asked so", () => {
    assert.deepEqual(checks('{"httpGet":{"path":"/up"},"periodSeconds":3}'), [
      "cart http 3000",
      "legacy http 3000",
    ]);
    assert.deepEqual(checks('{"tcpSocket":{}}'), [
      "db tcp 10000",
      "cart tcp 10000",
      "legacy tcp 10000",
    ]);
    assert.deepEqual(checks('{"grpc":{}}'), []);
    assert.deepEqual(checks("not JSON"), []);
  });
});

describe("a DestinationRule", () => {
  const clusterWith = (spec: string, from = "shop/web", namespace = "shop") => {
    const rule = `kind: DestinationRule\nmetadata: { name: r, namespace: ${namespace} }\nspec: ${spec}`;
    const { value, diagnostics } = compileFor(meshWorld(shop, rule), from);
    const cluster = value.clusters.find(({ name }) => name === cart);
    const endpoints = value.endpoints.find((one) => one.cluster === cart)?.endpoints;
    return { cluster, endpoints, diagnostics };
  };

  test("sets balancer, pool and outlier detection", () => {
    const { cluster } = clusterWith(
      `
      host: cart
      trafficPolicy:
        loadBalancer: { simple: ROUND_ROBIN }
        connectionPool: { tcp: { maxConnections: 7, connectTimeout: 3s }, http: { maxRetries: 2 } }
        outlierDetection: { consecutive5xxErrors: 3, interval: 1s }`.replaceAll("\n", "\n  "),
    );
    assert.equal(cluster?.balancer.kind, "round-robin");
    assert.deepEqual(cluster?.circuitBreakers, { maxConnections: 7, maxRetries: 2 });
    assert.equal(cluster?.connectTimeoutMs, 3000);
    assert.deepEqual(cluster?.outlierDetection, {
      consecutive5xx: 3,
      consecutiveGatewayErrors: 0,
      intervalMs: 1000,
      baseEjectionMs: 30_000,
      maxEjectionPercent: 10,
    });
  });

  test("sets every pool limit, retry budget, detector and threshold that it names", () => {
    const { cluster } = clusterWith(
      `
      host: cart
      trafficPolicy:
        loadBalancer: { simple: LEAST_REQUEST, warmup: { duration: 30s, minimumPercent: 5 } }
        connectionPool: { http: { idleTimeout: 20s, maxRequestsPerConnection: 100 } }
        retryBudget: { percent: 30 }
        outlierDetection:
          splitExternalLocalOriginErrors: true
          consecutiveLocalOriginFailures: 4
          outlierDetectionHttpErrorCodes: [429, 503]
          minHealthPercent: 40`.replaceAll("\n", "\n  "),
    );
    assert.deepEqual(cluster?.slowStart, { windowMs: 30_000, aggression: 1, minPercent: 5 });
    assert.equal(cluster?.idleTimeoutMs, 20_000);
    assert.equal(cluster?.maxRequestsPerConnection, 100);
    assert.equal(cluster?.panicPercent, 40);
    assert.deepEqual(cluster?.circuitBreakers, {
      retryBudget: { percent: 30, minConcurrency: 3 },
    });
    assert.equal(cluster?.outlierDetection?.consecutiveLocalOrigin, 4);
    assert.deepEqual(cluster?.outlierDetection?.failureStatuses, [429, 503]);
  });

  test("with consistent hashing tells clusters how, and their routes by what", () => {
    const hashing = (hash: string) => {
      const rule = `
kind: DestinationRule
metadata: { name: cart }
spec: { host: cart, trafficPolicy: { loadBalancer: { consistentHash: ${hash} } } }
`;
      const { value } = compileFor(meshWorld(shop, rule), "shop/web");
      const { route } = walkOutbound(value, expanded({}));
      const balancer = value.clusters.find(({ name }) => name === cart)?.balancer;
      return [balancer, route?.action.kind === "forward" ? route.action.hash : undefined];
    };
    assert.deepEqual(hashing("{ httpHeaderName: x-user }"), [
      { kind: "ring-hash", minimumRingSize: 1_024 },
      [{ kind: "header", name: "x-user" }],
    ]);
    assert.deepEqual(
      hashing("{ httpCookie: { name: sid, ttl: 0s }, maglev: { tableSize: 251 } }"),
      [{ kind: "maglev", tableSize: 251 }, [{ kind: "cookie", name: "sid", ttlMs: 0 }]],
    );
    assert.deepEqual(
      hashing(
        "{ useSourceIp: true } }, portLevelSettings: [{ port: { number: 80 }, loadBalancer: { consistentHash: { httpHeaderName: x-port } } }], tls: { mode: DISABLE",
      ),
      [{ kind: "ring-hash", minimumRingSize: 1_024 }, [{ kind: "header", name: "x-port" }]],
    );
    assert.deepEqual(hashing("{ useSourceIp: true, ringHash: { minimumRingSize: 9 } }"), [
      { kind: "ring-hash", minimumRingSize: 9 },
      [{ kind: "source-ip" }],
    ]);
  });

  test("with DISABLE speaks plain text, with ISTIO_MUTUAL mesh TLS to everybody", () => {
    const off = clusterWith("{ host: cart, trafficPolicy: { tls: { mode: DISABLE } } }");
    assert.equal(off.cluster?.tls, undefined);
    assert.deepEqual(
      off.endpoints?.map(({ tls }) => tls),
      [false, false],
    );
    const on = clusterWith("{ host: cart, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }");
    assert.deepEqual(
      on.endpoints?.map(({ tls }) => tls),
      [true, true],
    );
  });

  test("with PASSTHROUGH speaks mesh TLS only where it is demanded: what the destination takes is not known", () => {
    const tlsWith = (more: string) =>
      clusterWith(`{ host: cart, trafficPolicy: { loadBalancer: { simple: PASSTHROUGH }${more} } }`)
        .cluster?.tls;
    assert.equal(tlsWith(""), undefined);
    assert.notEqual(tlsWith(", tls: { mode: ISTIO_MUTUAL }"), undefined);
  });

  test("with SIMPLE or MUTUAL speaks the endpoints' own TLS, by whatever names they are to have", () => {
    const originate = (tls: string) =>
      clusterWith(`{ host: cart, trafficPolicy: { tls: ${tls} } }`).cluster?.originate;
    assert.deepEqual(originate("{ mode: SIMPLE }"), {
      trust: { kind: "public" },
      sni: "cart.shop.svc.cluster.local",
      alpn: ["h2", "http/1.1"],
      names: ["cart.shop.svc.cluster.local"],
    });
    assert.deepEqual(originate("{ mode: SIMPLE, credentialName: own-ca, sni: a.example }"), {
      trust: { kind: "secret", name: "kubernetes://shop/own-ca-cacert" },
      sni: "a.example",
      alpn: ["h2", "http/1.1"],
      names: ["a.example"],
    });
    const mutual = originate(
      "{ mode: MUTUAL, credentialName: us, subjectAltNames: [them.example] }",
    );
    assert.deepEqual(
      [mutual?.certificate, mutual?.names],
      ["kubernetes://shop/us", ["them.example"]],
    );
    assert.deepEqual(originate("{ mode: SIMPLE, insecureSkipVerify: true }")?.trust, {
      kind: "none",
    });
  });

  test("whose TLS cannot be done as asked sends nothing anywhere, and says so", () => {
    const refused = (tls: string) => {
      const { endpoints, diagnostics } = clusterWith(
        `{ host: cart, trafficPolicy: { tls: ${tls} } }`,
      );
      assert.deepEqual(endpoints, []);
      return diagnostics.map(({ code }) => code);
    };
    const files = "clientCertificate: /c.pem, privateKey: /k.pem";
    assert.deepEqual(refused(`{ mode: MUTUAL, ${files} }`), ["HEDDLE0104"]);
    assert.deepEqual(refused("{ mode: SIMPLE, caCertificates: /ca.pem }"), ["HEDDLE0104"]);
  });

  test("says of one port what holds for it alone", () => {
    const level = "{ port: { number: 80 }, tls: { mode: SIMPLE } }";
    const { cluster } = clusterWith(
      `{ host: cart, trafficPolicy: { loadBalancer: { simple: RANDOM }, portLevelSettings: [${level}] } }`,
    );
    assert.deepEqual(
      [cluster?.balancer.kind, cluster?.originate?.trust.kind],
      ["least-request", "public"],
    );
  });

  test("of the client's namespace counts before the Service's, and that before the mesh's", () => {
    const rule = (namespace: string, simple: string): string => `
kind: DestinationRule
metadata: { name: r, namespace: ${namespace} }
spec: { host: cart.shop.svc.cluster.local, trafficPolicy: { loadBalancer: { simple: ${simple} } } }
`;
    const all = [
      rule("other", "RANDOM"),
      rule("shop", "ROUND_ROBIN"),
      rule("istio-system", "LEAST_REQUEST"),
    ];
    const balancerOf = (documents: readonly string[], from: string): string | undefined =>
      compileFor(meshWorld(shop, ...documents), from).value.clusters.find(
        ({ name }) => name === cart,
      )?.balancer.kind;
    assert.equal(balancerOf(all, "other/guest"), "random");
    assert.equal(balancerOf(all, "shop/web"), "round-robin");
    assert.equal(balancerOf(all.slice(2), "shop/web"), "least-request");
  });

  test("endpoints of a pod without sidecar, or with mesh TLS off, get plain text", () => {
    const disabled = `
kind: PeerAuthentication
metadata: { name: off }
spec: { selector: { matchLabels: { version: v1 } }, mtls: { mode: DISABLE } }
`;
    const { value } = compileFor(meshWorld(shop, disabled), "shop/web");
    assert.deepEqual(
      value.endpoints.find((one) => one.cluster === cart)?.endpoints.map(({ tls }) => tls),
      [false, true],
    );
  });
});
