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

  test("for gateways only, or exported elsewhere, does not apply to sidecars", () => {
    const rule = "    - redirect: { uri: /x }";
    const bound = routes(rule).replace("hosts:", "gateways: [ingress]\n  hosts:");
    assert.equal(split(meshWorld(shop, bound), {}), cart);
    const exported = routes(rule).replace("hosts:", "exportTo: [other]\n  hosts:");
    assert.equal(split(meshWorld(shop, exported), {}), cart);
    assert.equal(split(meshWorld(shop, exported), { to: "cart.shop" }, "other/guest"), "redirect");
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
