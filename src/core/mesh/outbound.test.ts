/** Where requests of a pod go that nobody has ruled about, as Istio's sidecars send them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { cart, expanded, shop, split } from "../../../test/worlds/shop.ts";
import { walkOutbound } from "./walk.ts";

describe("an endpoint", () => {
  test("is called in the clear at a port that its pod's annotations leave out of capture", () => {
    const world = meshWorld(`
  pods:
    shop/web: {}
    shop/half: { annotations: { traffic.sidecar.istio.io/excludeInboundPorts: "9090" } }
  services:
    shop/half: { ports: { http: 80>8080, http-side: 81>9090 } }
`);
    const { endpoints } = compileFor(world, "shop/web").value;
    const tls = (port: number) =>
      endpoints
        .find(({ cluster }) => cluster === `outbound|${port}||half.shop.svc.cluster.local`)
        ?.endpoints.map((endpoint) => endpoint.tls);
    assert.deepEqual([tls(80), tls(81)], [[true], [false]]);
  });
});

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
