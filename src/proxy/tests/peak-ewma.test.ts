/** What a balancer that goes by answer times takes for one. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import { test } from "node:test";
import type { Cluster } from "../../model/proxy-config.ts";
import { framed } from "../testing/grpc-web.ts";
import { Harness, request, snapshot } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import {
  cluster,
  endpoint,
  forward,
  outbound,
  passthrough,
  route,
  virtualHost,
} from "../testing/mesh.ts";

const hourMs = 3_600_000;

const configOf = (port: number, more: Partial<Cluster>) => ({
  ...outbound([virtualHost(["*"], [route(forward("app"))])]),
  clusters: [cluster("app", more), passthrough],
  endpoints: [{ cluster: "app", endpoints: [endpoint(port)] }],
});

const destination = () => ({ address: "10.96.0.1", port: 80 });

test("a stream of gRPC that went on for an hour is no answer that took one", async () => {
  await using harness = new Harness();
  let now = 1_000;
  const streams: ServerHttp2Stream[] = [];
  const app = await http2App(harness, (stream) => {
    streams.push(stream);
    stream.respond(
      { ":status": 200, "content-type": "application/grpc" },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.write(framed("first"));
  });
  const more = { protocol: "http/2", balancer: { kind: "peak-ewma" } } as const;
  const sidecar = await harness.sidecar({ destination, now: () => now }, configOf(app.port, more));
  const { session } = new Http2Client(harness, sidecar.portOf("virtualOutbound") ?? 0);
  const call = session.request({
    ":authority": "cart",
    ":path": "/",
    ":method": "POST",
    "content-type": "application/grpc",
    te: "trailers",
  });
  call.end(framed("hello"));
  await once(call, "data");
  now += hourMs;
  for (const stream of streams) stream.end();
  call.resume();
  await once(call, "end");
  const [host] = sidecar.tables.clusters.get("app")?.hosts ?? [];
  assert.ok(host !== undefined && host.latencyMs < 1_000, `${host?.latencyMs} ms`);
});

test("a request that was sent before anybody noted times is no answer that took since boot", async () => {
  await using harness = new Harness();
  const waiting = Promise.withResolvers<ServerResponse>();
  const app = await harness.app((_, res) => waiting.resolve(res));
  const options = { destination, now: () => hourMs };
  const sidecar = await harness.sidecar(options, configOf(app, { balancer: { kind: "random" } }));
  const answered = request(sidecar.portOf("virtualOutbound") ?? 0);
  const response = await waiting.promise;
  const changed = configOf(app, { balancer: { kind: "peak-ewma" } });
  await sidecar.apply(snapshot(changed, { version: "2" }));
  response.end();
  assert.equal((await answered).status, 200);
  const [host] = sidecar.tables.clusters.get("app")?.hosts ?? [];
  assert.ok(host !== undefined && host.latencyMs < 1_000, `${host?.latencyMs} ms`);
});
