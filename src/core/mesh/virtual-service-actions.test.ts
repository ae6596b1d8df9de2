/** What rules of VirtualServices do with the requests that they take. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { expanded, routes, shop, subsets } from "../../../test/worlds/shop.ts";
import type { World } from "../registry/world.ts";
import { walkOutbound } from "./walk.ts";

describe("a rule of a VirtualService", () => {
  const both = (http: string, hosts?: string): World =>
    meshWorld(shop, subsets, routes(http, hosts));

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

  test("sends retries to other localities only where that is asked for", () => {
    for (const [more, expected] of [
      ["", undefined],
      [", retryRemoteLocalities: false", undefined],
      [", retryRemoteLocalities: true", 2],
    ] as const) {
      const world = both(`
    - retries: { attempts: 3${more} }
      route: [{ destination: { host: cart } }]`);
      const { route } = walkOutbound(compileFor(world, "shop/web").value, expanded({}));
      assert.ok(route?.action.kind === "forward");
      assert.equal(route.action.retry?.triesAtPriorities, expected);
    }
  });

  test("turns retries off with no attempts", () => {
    const world = both(`
    - retries: { attempts: 0 }
      route: [{ destination: { host: cart } }]`);
    const { route } = walkOutbound(compileFor(world, "shop/web").value, expanded({}));
    assert.ok(route?.action.kind === "forward");
    assert.equal(route.action.retry, undefined);
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
});
