/** HTTP/2 between two sidecars. */

import assert from "node:assert/strict";
import type { ServerHttp2Stream } from "node:http2";
import { describe, test } from "node:test";
import type { Sidecar } from "../sidecar.ts";
import { Harness, metric } from "../testing/harness.ts";
import { echo, type Http2App, Http2Client, http2App } from "../testing/http2.ts";
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

describe("a pair of sidecars", () => {
  const identity = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`;

  async function meshPair(
    harness: Harness,
    app: Http2App,
  ): Promise<readonly [Sidecar, Sidecar, number]> {
    const ca = await createMeshCa();
    const server = await harness.sidecar(
      {
        workload: labels("shop", "cart"),
        destination: () => ({ address: "127.0.0.1", port: app.port }),
      },
      inbound(app.port, { isStrict: true, protocol: "downstream" }),
      { secrets: await ca.secrets(identity("cart")) },
    );
    const client = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      {
        ...outbound([virtualHost(["*"], [route(forward("app"))])]),
        clusters: [cluster("app", { protocol: "downstream", tls: upstreamTls(identity("cart")) })],
        endpoints: [
          {
            cluster: "app",
            endpoints: [
              endpoint(server.portOf("virtualInbound") ?? 0, {
                tls: true,
                workload: labels("shop", "cart"),
              }),
            ],
          },
        ],
      },
      { secrets: await ca.secrets(identity("web")) },
    );
    return [client, server, client.portOf("virtualOutbound") ?? 0];
  }

  test("speaks HTTP/2 between the two where the client does, and knows who calls", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo);
    const [, server, port] = await meshPair(harness, app);
    const client = new Http2Client(harness, port);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => client.request({ ":method": "POST" }, "hello")),
    );
    const seen = JSON.parse(String(answers[3]?.headers["x-seen"])) as Record<string, string>;
    assert.equal(seen["x-forwarded-client-cert"], `URI=${identity("web")}`);
    assert.equal(seen["x-heddle-peer"], undefined);
    assert.equal(app.sessions.length, 1);
    assert.equal(server.runtime.connections.acceptedTotal, 1);
    const labelled = { source_workload: "web-v1", connection_security_policy: "mutual_tls" };
    assert.equal(metric(server, "istio_requests_total", labelled), 20);
  });

  test("lets every request finish when one of the two stops", async () => {
    await using harness = new Harness();
    const held: ServerHttp2Stream[] = [];
    const app = await http2App(harness, (stream) => held.push(stream));
    const [, server, port] = await meshPair(harness, app);
    const client = new Http2Client(harness, port);
    const asked = Array.from({ length: 5 }, () => client.request({}));
    while (held.length < 5) await new Promise(setImmediate);
    const drained = server.drain();
    for (const stream of held) stream.respond({ ":status": 204 }, { endStream: true });
    for (const { headers } of await Promise.all(asked)) assert.equal(headers[":status"], 204);
    await drained;
  });
});
