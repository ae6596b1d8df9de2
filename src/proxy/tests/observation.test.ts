/** What the agent reads of a pair of sidecars: edges and what was served. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { countOf } from "../../base/log-histogram.ts";
import type { EdgeCounts, SidecarObservation } from "../../model/observation.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness, request } from "../testing/harness.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  labels,
  outbound,
  route,
  upstreamTls,
  virtualHost,
} from "../testing/mesh.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";

function observed(sidecar: Sidecar): Pick<SidecarObservation, "edges" | "serving"> {
  const { edges, servings } = sidecar.runtime.recorder;
  return { edges: edges.counts(), serving: servings.counts() };
}

function ends({ source, destination, protocol, version, mtls, codes }: EdgeCounts): unknown {
  return { source, destination, protocol, version, mtls, codes };
}

describe("what a pair of sidecars observes", () => {
  test("is one edge at the source and what was served at the destination", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const cart = "spiffe://cluster.local/ns/shop/sa/cart";
    const app = await harness.app((req, res) => {
      res.statusCode = req.url === "/broken" ? 500 : 200;
      res.end("cart");
    });
    const server = await harness.sidecar(
      {
        workload: labels("shop", "cart"),
        destination: () => ({ address: "127.0.0.1", port: app }),
      },
      inbound(app),
      { secrets: await ca.secrets(cart) },
    );
    const inboundPort = server.portOf("virtualInbound") ?? 0;
    const toCart = endpoint(inboundPort, { tls: true, workload: labels("shop", "cart") });
    const host = "cart.shop.svc.cluster.local";
    const service = { namespace: "shop", name: "cart", host, port: 80 };
    const client = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      {
        ...outbound([virtualHost(["cart", host], [route(forward("cart"))])]),
        clusters: [cluster("cart", { tls: upstreamTls(cart), service })],
        endpoints: [{ cluster: "cart", endpoints: [toCart] }],
      },
      { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/web") },
    );
    const port = client.portOf("virtualOutbound") ?? 0;
    for (const path of ["/", "/", "/broken"]) await request(port, { path });
    const seen = observed(client);
    assert.deepEqual(seen.edges.map(ends), [
      {
        source: "shop/web-v1",
        destination: "shop/cart",
        protocol: "http",
        version: "v1",
        mtls: true,
        codes: { "200": 2, "500": 1 },
      },
    ]);
    const [edge] = seen.edges;
    assert.equal(countOf(edge?.durations ?? []), 3);
    assert.deepEqual(seen.serving, []);

    const served = observed(server);
    assert.deepEqual(served.edges, [], "the caller has a sidecar, which counts");
    assert.equal(served.serving.length, 1);
    const [serving] = served.serving;
    assert.deepEqual(
      [serving?.pod, serving?.requests, serving?.failed, serving?.gaps],
      ["shop/cart-v1-abcde", 3, 1, 2],
    );
    assert.ok((serving?.busyMs ?? 0) > 0);
    assert.ok((serving?.responseSumMs ?? 0) <= (edge?.durationSumMs ?? 0));
  });

  test("has the Service that was meant where a fault answers for it", async () => {
    await using harness = new Harness();
    const service = { namespace: "shop", name: "cart", host: "cart", port: 80 };
    const abort = { percent: 100, status: 503 };
    const { sidecar, port } = await harness.outbound(
      [virtualHost(["*"], [{ ...route(forward("cart")), fault: { abort } }])],
      { clusters: [cluster("cart", { service })] },
    );
    assert.equal((await request(port)).status, 503);
    const [edge] = observed(sidecar).edges;
    assert.deepEqual(
      [edge?.destination, edge?.codes, edge?.flags, edge?.mtls],
      ["shop/cart", { "503": 1 }, { FI: 1 }, undefined],
    );
  });

  test("is an edge from outside where the caller has no identity", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app((_req, res) => res.end("cart"));
    const server = await harness.sidecar(
      {
        workload: labels("shop", "cart"),
        destination: () => ({ address: "127.0.0.1", port: app }),
      },
      inbound(app),
      { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart") },
    );
    await request(server.portOf("virtualInbound") ?? 0);
    const [edge] = observed(server).edges;
    assert.deepEqual([edge?.source, edge?.mtls, edge?.codes], ["outside", false, { "200": 1 }]);
  });
});
