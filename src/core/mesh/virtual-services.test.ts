/** What VirtualServices make of requests, as Istio's sidecars route them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import {
  cart,
  expanded,
  type HttpNotation,
  routes,
  shop,
  split,
  subsets,
} from "../../../test/worlds/shop.ts";
import type { World } from "../registry/world.ts";
import { walkOutbound } from "./walk.ts";

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
    ["{ uri: { regex: /A. }, ignoreUriCase: true }", { path: "/ab" }, false], // as Envoy has it
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

  test("of which no rule is for the caller takes nothing from the Service, where it answered 404", () => {
    const world = both("    - { match: [{ sourceLabels: { app: else } }], redirect: { uri: /x } }");
    assert.equal(split(world, {}), cart);
  });

  test("with a match that is null takes every request, where it threw", () => {
    assert.equal(split(both("    - { match: [null], redirect: { uri: /x } }"), {}), "redirect");
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
      fault: { delay: { percentage: { value: 10 }, fixedDelay: 2s }, abort: { percent: 100, httpStatus: 500 } }
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

  test("abort with a status of gRPC, and leave alone whom no percentage names", () => {
    const world = both(`
    - match: [{ uri: { prefix: /grpc } }]
      fault: { abort: { percentage: { value: 50 }, grpcStatus: UNAVAILABLE } }
      route: [{ destination: { host: cart } }]
    - fault: { delay: { fixedDelay: 2s }, abort: { httpStatus: 500 } }
      route: [{ destination: { host: cart } }]`);
    const { value } = compileFor(world, "shop/web");
    const faultAt = (path: string) => walkOutbound(value, expanded({ path })).route?.fault;
    assert.deepEqual(faultAt("/grpc/x"), { abort: { percent: 50, grpcStatus: 14 } });
    assert.equal(faultAt("/"), undefined);
  });

  test("send TLS of one caller elsewhere, and no other's of its namespace", () => {
    const world = meshWorld(
      shop,
      `
kind: VirtualService
metadata: { name: db }
spec:
  hosts: [db]
  tls:
  - match:
    - { sniHosts: [db], sourceNamespace: other }
    - { sniHosts: [db], sourceLabels: { app: web } }
    route: [{ destination: { host: cart, port: { number: 80 } } }]
`,
    );
    const to = { address: "10.96.0.2", port: 5432, serverName: "db" };
    const clusterOf = (pod: string) =>
      walkOutbound(compileFor(world, pod).value, to).destinations[0]?.cluster;
    assert.equal(clusterOf("shop/web"), cart);
    assert.equal(clusterOf("shop/cart-v1"), "outbound|5432||db.shop.svc.cluster.local");
    assert.equal(clusterOf("other/guest"), cart);
  });

  test("match by what RE2 reads and ECMAScript does not, so that no sidecar refuses all routes of the port", () => {
    const world = both(`
    - match: [{ uri: { regex: "(?s)/(?P<kind>[[:alpha:]]+)/.*" } }]
      rewrite: { uriRegexRewrite: { match: "^/(?P<kind>[[:alpha:]]+)/", rewrite: '/\\1-' } }
      route: [{ destination: { host: cart, subset: v2 } }]
    - route: [{ destination: { host: cart, subset: v1 } }]`);
    assert.equal(split(world, { path: "/abc/1" }), "v2");
    assert.equal(split(world, { path: "/a1/1" }), "v1");
    const { value } = compileFor(world, "shop/web");
    const action = walkOutbound(value, expanded({ path: "/abc/1" })).route?.action;
    const rewrite = action?.kind === "forward" ? action.regexRewrite : undefined;
    assert.equal(rewrite?.pattern, "^/([A-Za-z]+)/");
  });

  test("answer with bytes as with text", () => {
    const world = both(`
    - directResponse: { status: 200, body: { bytes: eyJvayI6dHJ1ZX0= } }`);
    const { value } = compileFor(world, "shop/web");
    const { route } = walkOutbound(value, expanded({}));
    assert.deepEqual(route?.action, { kind: "respond", status: 200, body: '{"ok":true}' });
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
    // As Go's clients write a value of 0.
    ["mirror: { host: cart, subset: v2 }, mirrorPercentage: {}", []],
    ["mirrors: [{ destination: { host: cart, subset: v2 }, percentage: {} }]", []],
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
      ['{"percentile":95,"grpc":true}', { kind: "percentile", percent: 95, includesGrpc: true }],
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

  test("with an empty condition, or one of empty text, asks for nothing by it", () => {
    const written = (match: string, route: string) => `
kind: VirtualService
metadata: { name: db }
spec:
  hosts: [db, cart]
  tcp: [{ match: ${match}, ${route} }]
  http: [{ match: ${match}, redirect: { uri: /x } }]
`;
    for (const match of ["[]", '[{ sourceNamespace: "", gateways: [] }]']) {
      const world = meshWorld(shop, written(match, "route: [{ destination: { host: legacy } }]"));
      assert.equal(split(world, {}), "redirect", match);
      const to = { address: "10.96.0.2", port: 5432 };
      assert.equal(split(world, to), "outbound|9000||legacy.shop.svc.cluster.local", match);
    }
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
