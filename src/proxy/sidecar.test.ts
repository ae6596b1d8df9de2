import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as httpRequest, type RequestOptions, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { renderText } from "../telemetry/exposition.ts";
import type { Destination } from "./listen/runtime.ts";
import type { Sidecar } from "./sidecar.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  labels,
  outbound,
  passthrough,
  route,
  testSidecar,
  upstreamTls,
  virtualHost,
} from "./testing/mesh.ts";
import { createMeshCa } from "./testing/mesh-ca.ts";

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

function get(port: number, options: RequestOptions = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: "127.0.0.1",
        port,
        agent: false,
        ...options,
        headers: { host: "cart", ...options.headers },
      },
      (response) => {
        let text = "";
        response.setEncoding("latin1");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        );
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing) await close();
});

async function application(
  answer: (body: string, headers: NodeJS.Dict<string | string[]>) => string,
): Promise<number> {
  const server: Server = createServer((request, response) => {
    let text = "";
    request.setEncoding("latin1");
    request.on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => {
      response.end(answer(`${request.method} ${request.url} ${text}`, request.headers));
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

async function started(
  sidecar: Sidecar,
  snapshot: Parameters<Sidecar["apply"]>[0],
): Promise<Sidecar> {
  await sidecar.apply(snapshot);
  closing.push(() => sidecar.drain());
  return sidecar;
}

describe("a pair of sidecars", () => {
  test("carries a request over mutual TLS and tells both ends who is there", async () => {
    const ca = await createMeshCa();
    const web = "spiffe://cluster.local/ns/shop/sa/web";
    const cart = "spiffe://cluster.local/ns/shop/sa/cart";
    let seen: NodeJS.Dict<string | string[]> = {};
    const app = await application((line, headers) => {
      seen = headers;
      return `cart saw ${line}`;
    });
    const appAddress: Destination = { address: "127.0.0.1", port: app };
    const server = await started(
      testSidecar({ workload: labels("shop", "cart"), destination: () => appAddress }),
      {
        version: "1",
        config: { ...inbound(app, { isStrict: true }), routes: [], endpoints: [] },
        secrets: await ca.secrets(cart),
      },
    );
    const inboundPort = server.portOf("virtualInbound") ?? 0;
    const name = "outbound|80||cart.shop.svc.cluster.local";
    const client = await started(
      testSidecar({ destination: () => ({ address: "10.96.0.1", port: 80 }) }),
      {
        version: "1",
        config: {
          ...outbound([
            virtualHost(["cart", "cart.shop.svc.cluster.local"], [route(forward(name))]),
          ]),
          clusters: [
            cluster(name, {
              tls: upstreamTls(cart),
              service: {
                namespace: "shop",
                name: "cart",
                host: "cart.shop.svc.cluster.local",
                port: 80,
              },
            }),
            passthrough,
          ],
          endpoints: [
            {
              cluster: name,
              endpoints: [endpoint(inboundPort, { tls: true, workload: labels("shop", "cart") })],
            },
          ],
        },
        secrets: await ca.secrets(web),
      },
    );
    const port = client.portOf("virtualOutbound") ?? 0;
    const answer = await get(port, { method: "POST", path: "/items?x=1" }, "two");
    assert.deepEqual([answer.status, answer.body], [200, "cart saw POST /items?x=1 two"]);
    assert.equal(seen["x-forwarded-client-cert"], `URI=${web}`);
    assert.equal(seen["x-heddle-peer"], undefined);
    assert.match(String(seen["x-request-id"]), /^[0-9a-f-]{36}$/);
    const unknown = await get(port, { headers: { host: "nobody" } });
    assert.equal(unknown.status, 404);

    const atSource = renderText(client.runtime.environment.metrics);
    assert.match(
      atSource,
      /istio_requests_total\{reporter="source",source_workload="web-v1".*destination_workload="cart-v1".*response_code="200"/,
    );
    const atDestination = renderText(server.runtime.environment.metrics);
    assert.match(
      atDestination,
      /istio_requests_total\{reporter="destination",source_workload="web-v1".*connection_security_policy="mutual_tls",response_code="200"/,
    );
  });
});
