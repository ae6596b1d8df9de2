import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { renderText } from "../telemetry/exposition.ts";
import { Harness, request } from "./testing/harness.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  labels,
  outbound,
  passthrough,
  route,
  upstreamTls,
  virtualHost,
} from "./testing/mesh.ts";
import { createMeshCa } from "./testing/mesh-ca.ts";

describe("a pair of sidecars", () => {
  test("carries a request over mutual TLS and tells both ends who is there", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const web = "spiffe://cluster.local/ns/shop/sa/web";
    const cart = "spiffe://cluster.local/ns/shop/sa/cart";
    const host = "cart.shop.svc.cluster.local";
    let seen: NodeJS.Dict<string | string[]> = {};
    const app = await harness.app((req, res) => {
      seen = req.headers;
      res.write(`cart saw ${req.method} ${req.url} `);
      req.pipe(res);
    });
    const server = await harness.sidecar(
      {
        workload: labels("shop", "cart"),
        destination: () => ({ address: "127.0.0.1", port: app }),
      },
      inbound(app, { isStrict: true }),
      { secrets: await ca.secrets(cart) },
    );
    const toCart = endpoint(server.portOf("virtualInbound") ?? 0, {
      tls: true,
      workload: labels("shop", "cart"),
    });
    const service = { namespace: "shop", name: "cart", host, port: 80 };
    const client = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      {
        ...outbound([virtualHost(["cart", host], [route(forward("cart"))])]),
        clusters: [cluster("cart", { tls: upstreamTls(cart), service }), passthrough],
        endpoints: [{ cluster: "cart", endpoints: [toCart] }],
      },
      { secrets: await ca.secrets(web) },
    );
    const port = client.portOf("virtualOutbound") ?? 0;
    for (const body of ["one", "two"]) {
      const answer = await request(port, { method: "POST", path: "/items?x=1" }, body);
      assert.deepEqual([answer.status, answer.body], [200, `cart saw POST /items?x=1 ${body}`]);
      assert.equal(seen["x-forwarded-client-cert"], `URI=${web}`);
      assert.equal(seen["x-heddle-peer"], undefined);
      assert.match(String(seen["x-request-id"]), /^[0-9a-f-]{36}$/);
    }
    assert.match(
      renderText(client.runtime.environment.metrics),
      /istio_requests_total\{reporter="source",source_workload="web-v1".*destination_workload="cart-v1".*response_code="200"[^}]*\} 2\n/,
    );
    assert.match(
      renderText(server.runtime.environment.metrics),
      /istio_requests_total\{reporter="destination",source_workload="web-v1".*connection_security_policy="mutual_tls",response_code="200"[^}]*\} 2\n/,
    );
  });
});
