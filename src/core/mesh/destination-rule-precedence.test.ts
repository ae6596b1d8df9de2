/** Which of several DestinationRules, and which of their settings, hold. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { cart, cartWith, shop } from "../../../test/worlds/shop.ts";
import type { World } from "../registry/world.ts";

describe("a DestinationRule", () => {
  test("says of one port what holds for it alone", () => {
    const level = "{ port: { number: 80 }, tls: { mode: SIMPLE } }";
    const { cluster } = cartWith(
      `{ host: cart, trafficPolicy: { loadBalancer: { simple: RANDOM }, portLevelSettings: [${level}] } }`,
    );
    assert.deepEqual(
      [cluster?.balancer.kind, cluster?.originate?.trust.kind],
      ["least-request", "public"],
    );
  });

  test("has a subset's own settings over those of the host, also where that says them of the port alone", () => {
    const level = (settings: string) =>
      `portLevelSettings: [{ port: { number: 80 }, ${settings} }]`;
    const random = "loadBalancer: { simple: RANDOM }";
    const pool = (maxRetries: number) => `connectionPool: { http: { maxRetries: ${maxRetries} } }`;
    const subset = (host: string, own: string) => {
      const spec = `{ host: cart, trafficPolicy: { ${host} }, subsets: [{ name: v1, trafficPolicy: { ${own} } }] }`;
      const rule = `kind: DestinationRule\nmetadata: { name: r }\nspec: ${spec}`;
      const { clusters } = compileFor(meshWorld(shop, rule), "shop/web").value;
      const found = clusters.find(({ service }) => service?.name === "cart" && service.subset);
      return [found?.balancer.kind, found?.circuitBreakers.maxRetries];
    };
    assert.deepEqual(subset(`${random}, ${pool(1)}`, pool(2)), ["random", 2]);
    assert.deepEqual(subset(level(`${random}, ${pool(1)}`), pool(2)), ["random", 2]);
    assert.deepEqual(subset(`${random}, ${pool(1)}`, level(pool(2))), ["least-request", 2]);
    assert.deepEqual(subset(level(random), level(pool(2))), ["least-request", 2]);
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
});

describe("a port's settings of a DestinationRule", () => {
  test("leave in force what is said of the host alone", () => {
    const rule = `
kind: DestinationRule
metadata: { name: cart }
spec:
  host: cart
  trafficPolicy:
    retryBudget: { percent: 50 }
    proxyProtocol: { version: V2 }
    connectionPool: { tcp: { maxConnections: 9 } }
    portLevelSettings: [{ port: { number: 80 }, tls: { mode: DISABLE } }]
`;
    const { value } = compileFor(meshWorld(shop, rule), "shop/web");
    const found = value.clusters.find(({ name }) => name === cart);
    assert.equal(found?.proxyProtocol, "v2");
    assert.deepEqual(found.circuitBreakers, { retryBudget: { percent: 50, minConcurrency: 3 } });
  });
});

describe("a DestinationRule with a workloadSelector", () => {
  const rules = `
kind: DestinationRule
metadata: { name: for-web }
spec:
  host: cart
  workloadSelector: { matchLabels: { app: web } }
  trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } }
---
kind: DestinationRule
metadata: { name: for-nobody }
spec:
  host: cart
  workloadSelector: { matchLabels: { app: none } }
  trafficPolicy: { connectionPool: { tcp: { maxConnections: 2 } } }
---
kind: DestinationRule
metadata: { name: for-all }
spec:
  host: cart
  trafficPolicy: { connectionPool: { tcp: { maxConnections: 3 } } }
`;
  const limitOf = (world: World, pod: string) =>
    compileFor(world, pod).value.clusters.find(({ name }) => name === cart)?.circuitBreakers
      .maxConnections;

  test("holds for the pods that it selects, in the place of the rule for everybody, and for no other", () => {
    const world = meshWorld(shop, rules);
    assert.equal(limitOf(world, "shop/web"), 1);
    assert.equal(limitOf(world, "shop/db"), 3);
    assert.equal(limitOf(world, "other/guest"), 3);
  });

  test("says nothing to clients of other namespaces", () => {
    const world = meshWorld(shop, rules.slice(0, rules.lastIndexOf("---")));
    assert.deepEqual(
      [limitOf(world, "shop/db"), limitOf(world, "other/guest")],
      [undefined, undefined],
    );
  });
});
