/** Where calls of gRPC-Web become calls of gRPC: Istio's three places, by what ports are declared to be. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import type { World } from "../registry/world.ts";

const shop = (more = ""): string => `
  pods:
    edge/gateway-0: { labels: { app: gateway, inject.istio.io/templates: gateway } }
    shop/web: {}
    shop/cart: { labels: { app: cart } }
    shop/till: { labels: { app: till } }
  services:
    shop/cart: { ports: { grpc-web-public: 80>8080, grpc: 81>8081 } }
    ${more}
`;

/** The chains that translate, of one direction. */
function translating(world: World, pod: string, direction: "inbound" | "outbound"): string[] {
  return compileFor(world, pod)
    .value.listeners.filter((listener) => listener.direction === direction)
    .flatMap(({ filterChains }) => filterChains)
    .flatMap(({ name, filter }) =>
      filter.kind === "http" && filter.translatesGrpcWeb === true ? [name] : [],
    );
}

describe("a port that is declared as gRPC-Web", () => {
  test("has its calls translated in front of its pods, and no other port's", () => {
    const world = meshWorld(shop());
    const chains = ["0.0.0.0_8080-mesh-http", "0.0.0.0_8080-plain-http"];
    assert.deepEqual(translating(world, "shop/cart", "inbound"), chains);
    assert.deepEqual(translating(world, "shop/web", "inbound"), []);
  });

  test("has its endpoints spoken to in HTTP/2, by callers and by its own sidecar", () => {
    const protocols = (pod: string) =>
      compileFor(meshWorld(shop()), pod).value.clusters.flatMap(({ name, protocol }) =>
        /cart|inbound\|8080/.test(name) ? [`${name} ${protocol}`] : [],
      );
    const outbound = [80, 81].map((port) => `outbound|${port}||cart.shop.svc.cluster.local http/2`);
    assert.deepEqual(protocols("shop/web"), outbound);
    assert.ok(protocols("shop/cart").includes("inbound|8080|| http/2"));
  });

  test("has them translated by its callers, where no other Service has the port for other HTTP", () => {
    const shared = "shop/till: { ports: { http: 80 } }";
    assert.deepEqual(translating(meshWorld(shop()), "shop/web", "outbound"), ["0.0.0.0_80"]);
    assert.deepEqual(translating(meshWorld(shop(shared)), "shop/web", "outbound"), []);
  });

  test("of a Gateway has them translated there, where the port has no other server", () => {
    const server = (protocol: string, host: string) =>
      `{ port: { number: 80, name: ${host}, protocol: ${protocol} }, hosts: [${host}.example] }`;
    const gateway = (servers: string) => `
kind: Gateway
metadata: { name: front, namespace: edge }
spec:
  selector: { app: gateway }
  servers: [${servers}]`;
    const chains = (servers: string) =>
      translating(meshWorld(shop(), gateway(servers)), "edge/gateway-0", "outbound");
    assert.deepEqual(chains(server("GRPC-WEB", "a")), ["http.80"]);
    assert.deepEqual(chains(`${server("GRPC-WEB", "a")}, ${server("HTTP", "b")}`), []);
    assert.deepEqual(chains(server("GRPC", "a")), []);
  });
});
