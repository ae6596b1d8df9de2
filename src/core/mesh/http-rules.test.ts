/** What becomes of requests where VirtualServices delegate to others, in sidecars and in gateways. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld, objectsIn } from "../../../test/worlds/mesh.ts";
import { cart, expanded, routes, shop, split, subsets } from "../../../test/worlds/shop.ts";
import type { VirtualService } from "../../api/istio/networking.ts";
import { objectNamed, type World, worldOf } from "../registry/world.ts";
import { httpRules } from "./http-rules.ts";
import { walkGateway, walkOutbound } from "./walk.ts";

/** A VirtualService without hosts. */
const delegate = (name: string, http: string, more = ""): string => `
kind: VirtualService
metadata: { name: ${name.split("/")[1] ?? name}, namespace: ${name.includes("/") ? name.split("/")[0] : "shop"} }
spec:
  ${more}
  http:
${http}
`;
const to = (subset: string): string =>
  `route: [{ destination: { host: cart, subset: ${subset} } }]`;
const toPages = "match: [{ uri: { prefix: /pages } }], delegate: { name: pages }";
const pages = delegate(
  "pages",
  `
    - { match: [{ uri: { prefix: /pages/new } }], ${to("v2")} }
    - { ${to("v1")} }`,
);
const rest = "    - redirect: { uri: /rest }";

function notes(world: World, pod = "shop/web"): readonly string[] {
  return compileFor(world, pod).diagnostics.map(
    ({ code, where, message }) => `${code} ${where}: ${message}`,
  );
}

function routeTo(world: World, path: string, from = "shop/web") {
  return walkOutbound(compileFor(world, from).value, expanded({ path })).route;
}

describe("a rule that delegates", () => {
  const world = meshWorld(shop, subsets, routes(`    - { ${toPages} }\n${rest}`), pages);

  test("has the delegate's rules in its place, for its own requests only", () => {
    assert.equal(split(world, { path: "/pages/new" }), "v2");
    assert.equal(split(world, { path: "/pages/old" }), "v1");
    assert.equal(split(world, { path: "/other" }), "redirect");
    assert.deepEqual(notes(world), []);
  });

  test("is where the metrics and logs say the route is from", () => {
    assert.equal(routeTo(world, "/pages/new")?.origin, "shop/cart");
    const named = meshWorld(
      shop,
      routes(`    - { name: all, delegate: { name: pages } }`),
      delegate("pages", "    - { name: first, match: [{ name: m }], redirect: { uri: /x } }"),
    );
    assert.equal(routeTo(named, "/")?.name, "all-first.m");
  });

  test("takes the delegate of its own namespace unless it says another", () => {
    const elsewhere = delegate("other/pages", "    - redirect: { uri: /elsewhere }");
    const both = (more: string): World =>
      meshWorld(shop, routes(`    - delegate: { name: pages${more} }`), pages, elsewhere, subsets);
    assert.equal(split(both(""), {}), "v1");
    assert.equal(split(both(", namespace: other"), {}), "redirect");
  });

  test("leaves hosts to the namespace of whoever wrote them", () => {
    const world = meshWorld(
      shop,
      routes("    - { delegate: { name: pages, namespace: other }, mirror: { host: cart } }"),
      delegate("other/pages", "    - route: [{ destination: { host: guest } }]"),
    );
    const action = routeTo(world, "/")?.action;
    assert.ok(action?.kind === "forward");
    assert.deepEqual(
      action.clusters.map(({ cluster }) => cluster),
      ["outbound|80||guest.other.svc.cluster.local"],
    );
    assert.deepEqual(
      action.mirrors?.map(({ cluster }) => cluster),
      [cart],
    );
    assert.deepEqual(notes(world), []);
  });

  test("says of a destination that is not there where it is written", () => {
    const world = meshWorld(
      shop,
      routes("    - { delegate: { name: pages, namespace: other }, mirror: { host: gone } }"),
      delegate(
        "other/pages",
        `
    - match: [{ uri: { prefix: /a } }]
      route: [{ destination: { host: nowhere } }]
    - route: [{ destination: { host: guest } }]`,
      ),
    );
    assert.deepEqual(notes(world), [
      "HEDDLE0101 VirtualService shop/cart spec.http[0].mirror.host: gone is no Service, and no host of a ServiceEntry",
      "HEDDLE0101 VirtualService other/pages spec.http[0].route[0].destination.host: nowhere is no Service, and no host of a ServiceEntry",
    ]);
  });

  test("may go to one delegate from several roots", () => {
    const legacy = routes(`    - delegate: { name: pages }`, "[legacy]").replace(
      "name: cart",
      "name: legacy",
    );
    const world = meshWorld(shop, subsets, routes(`    - { ${toPages} }\n${rest}`), legacy, pages);
    assert.equal(split(world, { path: "/pages/new" }), "v2");
    const other = {
      address: "10.96.0.3",
      port: 9000,
      http: { host: "legacy", path: "/pages/new" },
    };
    assert.equal(split(world, other), "v2");
    assert.equal(split(world, { ...other, http: { host: "legacy", path: "/" } }), "v1");
  });

  test("gives the delegate its annotations where that has none of its own", () => {
    const limited = (object: string, requests: number): string =>
      object.replace(
        /metadata: \{ name: (\w+)/,
        `metadata: { name: $1, annotations: { heddle.dev/local-rate-limit: '{"requests":${requests}}' }`,
      );
    const root = limited(routes("    - delegate: { name: pages }"), 7);
    const limitOf = (...objects: readonly string[]) =>
      routeTo(meshWorld(shop, subsets, ...objects), "/")?.rateLimit?.maxTokens;
    assert.equal(limitOf(root, pages), 7);
    assert.equal(limitOf(root, limited(pages, 3)), 3);
  });

  test("leads where a Sidecar does not look, as in Istio", () => {
    const sidecar = `
kind: Sidecar
metadata: { name: narrow }
spec: { egress: [{ hosts: ["./cart.shop.svc.cluster.local"] }] }
`;
    const world = meshWorld(
      shop,
      sidecar,
      routes("    - delegate: { name: pages, namespace: other }"),
      delegate("other/pages", "    - route: [{ destination: { host: guest } }]"),
    );
    assert.equal(split(world, {}), "outbound|80||guest.other.svc.cluster.local");
  });

  test("depends on the caller where its delegate does", () => {
    const world = meshWorld(
      shop,
      subsets,
      routes("    - delegate: { name: pages }"),
      delegate(
        "pages",
        `
    - { match: [{ sourceLabels: { app: web } }], ${to("v2")} }
    - { ${to("v1")} }`,
      ),
    );
    assert.equal(split(world, {}), "v2");
    assert.equal(split(world, {}, "shop/db"), "v1");
  });
});

describe("a delegate that is not to be had", () => {
  const cases: readonly (readonly [what: string, objects: readonly string[], note: string])[] = [
    ["that is not there", [], "there is no VirtualService shop/pages"],
    [
      "of another namespace",
      [delegate("other/pages", rest)],
      "there is no VirtualService shop/pages",
    ],
    [
      "that has hosts",
      [delegate("pages", rest, "hosts: [legacy]")],
      "VirtualService shop/pages has hosts of its own, and a delegate has none",
    ],
    [
      "that is exported elsewhere",
      [delegate("pages", rest, "exportTo: [other]")],
      "VirtualService shop/pages is not exported to namespace shop",
    ],
    [
      "that is exported to nobody",
      [delegate("pages", rest, "exportTo: ['~']")],
      "VirtualService shop/pages is not exported to namespace shop",
    ],
  ];
  for (const [what, objects, note] of cases) {
    test(`${what} costs the rule and no other, and that is said`, () => {
      const root = routes(`    - { ${toPages} }\n    - { ${to("v1")} }`);
      const world = meshWorld(shop, subsets, root, ...objects);
      assert.equal(split(world, { path: "/pages/new" }), "v1");
      assert.deepEqual(notes(world), [
        `HEDDLE0118 VirtualService shop/cart spec.http[0].delegate: ${note}: the rule is left out`,
      ]);
    });
  }

  test("leaves the Service without rules where it was the only one", () => {
    const world = meshWorld(shop, routes(`    - { ${toPages} }`));
    assert.equal(split(world, { path: "/pages/new" }), cart);
  });

  test("is had where it is exported to the root's namespace, or to its own that is the root's", () => {
    for (const target of ["shop", ".", "*"]) {
      const root = routes("    - delegate: { name: pages }");
      const world = meshWorld(shop, root, delegate("pages", rest, `exportTo: ['${target}']`));
      assert.equal(split(world, {}), "redirect", target);
    }
  });

  test("is each rule that delegates further", () => {
    const world = meshWorld(
      shop,
      subsets,
      routes("    - delegate: { name: middle }"),
      delegate("middle", `    - { ${toPages} }\n    - { ${to("v1")} }`),
      pages,
    );
    assert.equal(split(world, { path: "/pages/new" }), "v1");
    assert.deepEqual(notes(world), [
      "HEDDLE0118 VirtualService shop/middle spec.http[0].delegate: a delegate does not delegate further: the rule is left out",
    ]);
  });

  test("is each rule that asks for more than it is given", () => {
    const world = meshWorld(
      shop,
      subsets,
      routes(`    - { ${toPages} }\n${rest}`),
      delegate(
        "pages",
        `
    - { match: [{ uri: { prefix: /pages/new } }, { uri: { prefix: /admin } }], ${to("v2")} }
    - { match: [{ uri: { regex: /pages/.* } }], ${to("v2")} }
    - { ${to("v1")} }`,
      ),
    );
    assert.equal(split(world, { path: "/pages/new" }), "v1");
    assert.equal(split(world, { path: "/admin" }), "redirect");
    assert.deepEqual(notes(world), [
      "HEDDLE0119 VirtualService shop/cart spec.http[0].delegate: VirtualService shop/pages asks for more than the rule gives it, and what does so is left out: spec.http[0] by match[1].uri, spec.http[1] by match[0].uri",
    ]);
  });
});

describe("a VirtualService without hosts", () => {
  test("has no routes of its own", () => {
    assert.equal(split(meshWorld(shop, pages, subsets), { path: "/pages/new" }), cart);
  });
});

describe("a gateway", () => {
  const edge = `
pods:
  edge/gateway-0: { labels: { app: gateway, istio: ingressgateway, inject.istio.io/templates: gateway } }
  shop/web-1: { labels: { app: web } }
  other/guest-1: { labels: { app: guest } }
services:
  edge/gateway: { ports: { http: 80>8080 } }
  shop/web: { ports: { http: 80 } }
  other/guest: { ports: { http: 80 } }
`;
  const front = `
kind: Gateway
metadata: { name: front, namespace: edge }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]
`;
  const root = (http: string): string => `
kind: VirtualService
metadata: { name: site }
spec: { hosts: [site.example], gateways: [edge/front], http: [${http}] }
`;
  const toWeb = "{ route: [{ destination: { host: web } }] }";
  const ask = (world: World, path: string): string => {
    const { value } = compileFor(world, "edge/gateway-0");
    const walk = walkGateway(value, { port: 8080, http: { host: "site.example", path } });
    return walk.destinations[0]?.cluster.split("|")[3] ?? walk.route?.action.kind ?? "404";
  };

  test("serves what a root that is bound to it delegates", () => {
    const world = meshWorld(
      edge,
      front,
      root(
        `{ match: [{ uri: { prefix: /g } }], delegate: { name: guests, namespace: other } }, ${toWeb}`,
      ),
      delegate("other/guests", "    - route: [{ destination: { host: guest } }]"),
    );
    assert.equal(ask(world, "/g"), "guest.other.svc.cluster.local");
    assert.equal(ask(world, "/"), "web.shop.svc.cluster.local");
    assert.deepEqual(notes(world, "edge/gateway-0"), []);
  });

  test("has no route, and says so, where the delegate is missing", () => {
    const world = meshWorld(edge, front, root("{ delegate: { name: guests } }"));
    assert.equal(ask(world, "/"), "404");
    assert.deepEqual(notes(world, "edge/gateway-0"), [
      "HEDDLE0118 VirtualService shop/site spec.http[0].delegate: there is no VirtualService shop/guests: the rule is left out",
    ]);
  });

  test("takes the gateways that a match asks for by the namespace of whoever wrote it", () => {
    // In namespace shop `front` is no Gateway that is here; in edge it is this one.
    const asking = (name: string): string =>
      `    - { match: [{ gateways: [${name}] }], redirect: { uri: /x } }`;
    const of = (namespace: string, name: string): World =>
      meshWorld(
        edge,
        front,
        root(`{ delegate: { name: d, namespace: ${namespace} } }, ${toWeb}`),
        delegate(`${namespace}/d`, asking(name)),
      );
    assert.equal(ask(of("edge", "front"), "/"), "redirect");
    assert.equal(ask(of("edge", "./front"), "/"), "redirect");
    assert.equal(ask(of("shop", "front"), "/"), "web.shop.svc.cluster.local");
    assert.equal(ask(of("shop", "edge/front"), "/"), "redirect");
    const own = (name: string): World =>
      meshWorld(edge, front, root(`{ match: [{ gateways: [${name}] }], redirect: { uri: /x } }`));
    assert.equal(ask(own("front"), "/"), "404");
    assert.equal(ask(own("edge/front"), "/"), "redirect");
  });
});

describe("the rules of a root", () => {
  const objects = [
    ...objectsIn(routes(`    - { ${toPages} }`), "shop"),
    ...objectsIn(
      routes("    - redirect: { uri: /x }").replace("name: cart", "name: plain"),
      "shop",
    ),
    ...objectsIn(pages, "shop"),
  ];
  const rulesOf = (world: World, name: string) => {
    const root = objectNamed<VirtualService>(world, "VirtualService", "shop", name);
    assert.ok(root);
    return httpRules(world, root);
  };
  const [root, plain, first] = objects;
  assert.ok(root && plain && first);

  test("are made again when their delegate changes, comes or goes, and then only theirs", () => {
    const before = worldOf(objects);
    const changed = worldOf([root, plain, { ...first }]);
    const gone = worldOf([root, plain]);
    const made = rulesOf(before, "cart");
    assert.equal(rulesOf(before, "cart"), made);
    assert.equal(rulesOf(worldOf(objects), "cart"), made);
    assert.notEqual(rulesOf(changed, "cart"), made);
    assert.deepEqual(rulesOf(gone, "cart").value, []);
    assert.deepEqual(rulesOf(before, "cart"), made);
    assert.equal(rulesOf(gone, "plain"), rulesOf(before, "plain"));
  });
});
