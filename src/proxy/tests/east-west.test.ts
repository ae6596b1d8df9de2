/**
 * A gateway with AUTO_PASSTHROUGH, as the compiler makes it, between clients and a sidecar that takes nothing but mesh
 * TLS.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { Harness, request } from "../testing/harness.ts";
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
} from "../testing/mesh.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";

const world = meshWorld(
  `
pods:
  edge/gateway-0: { labels: { istio: eastwestgateway, inject.istio.io/templates: gateway } }
  shop/cart-1: { labels: { app: cart } }
services:
  shop/cart: { ports: { http: 80 } }
`,
  `
kind: Gateway
metadata: { name: cross-network }
spec:
  selector: { istio: eastwestgateway }
  servers:
    - { port: { number: 15443, name: tls, protocol: TLS }, hosts: ["*.local"], tls: { mode: AUTO_PASSTHROUGH } }
`,
);
const cart = "outbound_.80_._.cart.shop.svc.cluster.local";
const web = "spiffe://cluster.local/ns/shop/sa/web";

/** An application behind its sidecar behind the gateway; answers the gateway's port. */
async function eastWest(harness: Harness) {
  const ca = await createMeshCa();
  const app = await harness.app((req, res) =>
    res.end(`from ${req.headers["x-forwarded-client-cert"]}`),
  );
  const server = await harness.sidecar(
    { workload: labels("shop", "cart"), destination: () => ({ address: "127.0.0.1", port: app }) },
    inbound(app, { isStrict: true }),
    { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart") },
  );
  const { value } = compileFor(world, "edge/gateway-0");
  const listeners = value.listeners.map((one) => ({ ...one, address: "127.0.0.1", port: 0 }));
  const endpoints = value.endpoints.map((one) => ({
    ...one,
    endpoints: one.endpoints.map(() => endpoint(server.portOf("virtualInbound") ?? 0)),
  }));
  const gateway = await harness.sidecar(
    { destination: () => undefined },
    { ...value, listeners, endpoints },
    { secrets: await ca.secrets("spiffe://cluster.local/ns/edge/sa/gateway") },
  );
  return { ca, port: gateway.portOf("0.0.0.0_15443") ?? 0 };
}

describe("a gateway with AUTO_PASSTHROUGH", () => {
  const refused: readonly (readonly [string, ConnectionOptions])[] = [
    ["asks for a Service that is not there", { servername: `${cart}.nowhere` }],
    ["offers no protocol of the mesh", { ALPNProtocols: ["http/1.1"] }],
    ["asks for no name", { servername: "" }],
  ];

  async function dial(harness: Harness, more: ConnectionOptions = {}): Promise<TLSSocket> {
    const { ca, port } = await eastWest(harness);
    const [own, trust] = await ca.secrets(web);
    return connect({
      port,
      host: "127.0.0.1",
      servername: cart,
      key: own.key,
      cert: own.chain,
      ca: trust.roots,
      ALPNProtocols: ["istio-http/1.1", "http/1.1"],
      checkServerIdentity: () => undefined,
      ...more,
    });
  }

  test("leaves client and Service to prove themselves to each other", async () => {
    await using harness = new Harness();
    const socket = await dial(harness);
    await once(socket, "secureConnect");
    assert.equal(
      socket.getPeerCertificate().subjectaltname,
      "URI:spiffe://cluster.local/ns/shop/sa/cart",
    );
    socket.end("GET / HTTP/1.1\r\nhost: cart\r\nconnection: close\r\n\r\n");
    let text = "";
    for await (const bytes of socket) text += String(bytes);
    assert.match(text, /^HTTP\/1\.1 200 OK/);
    assert.match(text, /from URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web$/);
  });

  for (const [what, more] of refused) {
    test(`closes a client that ${what}`, async () => {
      await using harness = new Harness();
      const socket = await dial(harness, more);
      await assert.rejects(once(socket, "secureConnect"));
    });
  }

  test("closes what is no TLS", async () => {
    await using harness = new Harness();
    const { port } = await eastWest(harness);
    const client = await harness.raw(port);
    client.send("GET / HTTP/1.1\r\nhost: cart\r\n\r\n");
    assert.equal(await client.untilEnd(), "");
  });

  test("takes sidecars of another network to the Service", async () => {
    await using harness = new Harness();
    const { ca, port } = await eastWest(harness);
    const tls = {
      ...upstreamTls("spiffe://cluster.local/ns/shop/sa/cart"),
      alpn: ["istio-http/1.1", "http/1.1"],
    };
    const client = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      {
        ...outbound([virtualHost(["*"], [route(forward("cart"))])]),
        clusters: [cluster("cart", { tls }), passthrough],
        endpoints: [{ cluster: "cart", endpoints: [endpoint(port, { tls: true })] }],
      },
      { secrets: await ca.secrets(web) },
    );
    const { status, body } = await request(client.portOf("virtualOutbound") ?? 0);
    assert.deepEqual([status, body], [200, `from URI=${web}`]);
  });
});
