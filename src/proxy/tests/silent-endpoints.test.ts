/** Endpoints that take what is sent to them and never answer: who is blamed for it, and who is not. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Cluster, OutlierDetection, RouteAction } from "../../model/proxy-config.ts";
import { Harness, request } from "../testing/harness.ts";
import { Http2Client } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

type Action = Partial<Extract<RouteAction, { kind: "forward" }>>;

const outlierDetection: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 0,
  intervalMs: 60_000,
  baseEjectionMs: 60_000,
  maxEjectionPercent: 100,
};

/** A sidecar before these endpoints, which take turns. */
function toEndpoints(
  harness: Harness,
  ports: readonly number[],
  action: Action,
  more: Partial<Cluster> = {},
  now: () => number = () => performance.now(),
) {
  const settings = { balancer: { kind: "round-robin" as const }, outlierDetection, ...more };
  return harness.outbound(
    [virtualHost(["*"], [route(forward("app", action))])],
    {
      clusters: [cluster("app", settings)],
      endpoints: [{ cluster: "app", endpoints: ports.map((port) => endpoint(port)) }],
    },
    { now },
  );
}

/** A sidecar before one that answers and one that does not. Time passes only while it waits for the latter. */
async function toGoodAndSilent(harness: Harness, action: Action) {
  let [asked, now] = [0, 0];
  const good = await harness.app((_, res) => res.end("ok"));
  const silent = await harness.app(() => {
    asked++;
    now += 1_000;
    sidecar.runtime.environment.wheel.turn();
    now += 100; // for whoever waits now to go out again
  });
  const { port, sidecar } = await toEndpoints(harness, [good, silent], action, {}, () => now);
  return { port, asked: () => asked };
}

describe("an endpoint that never answers", () => {
  test("is retried elsewhere after the per-try timeout, and ejected", async () => {
    await using harness = new Harness();
    const retry = {
      attempts: 2,
      perTryTimeoutMs: 500,
      on: ["reset"],
      retriableStatusCodes: [],
      baseBackoffMs: 1,
      maxBackoffMs: 1,
    };
    const { port, asked } = await toGoodAndSilent(harness, { retry });
    for (let i = 0; i < 20; i++) assert.equal((await request(port)).status, 200);
    assert.equal(asked(), 3, "three in a row, and no more");
  });

  test("is ejected where nothing but the route has a timeout", async () => {
    await using harness = new Harness();
    const { port, asked } = await toGoodAndSilent(harness, { timeoutMs: 200 });
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) statuses.push((await request(port)).status);
    assert.equal(asked(), 3);
    assert.equal(statuses.filter((status) => status === 504).length, 3);
  });

  test("is ejected where it does not even finish the handshake in that time", async () => {
    await using harness = new Harness();
    const port = await harness.tcpApp(() => {});
    const originate = { trust: { kind: "none" as const }, alpn: [], names: [] };
    const outbound = await toEndpoints(harness, [port], { timeoutMs: 50 }, { originate });
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await request(outbound.port)).status);
    assert.deepEqual(statuses, [504, 504, 504, 503]);
  });

  test("is not blamed by who has to wait for a connection to it, nor by a caller without patience", async () => {
    await using harness = new Harness();
    let asked = 0;
    const silent = [await harness.app(() => asked++)];
    const limits = { circuitBreakers: { maxConnections: 1 } };
    const crowded = await toEndpoints(harness, silent, { timeoutMs: 50 }, limits);
    const first = await harness.raw(crowded.port);
    first.send("POST / HTTP/1.1\r\nhost: cart\r\ncontent-length: 1\r\n\r\n"); // its time has not begun
    while (asked === 0) await new Promise(setImmediate);
    for (let i = 0; i < 4; i++) assert.equal((await request(crowded.port)).status, 504);
    const hurried = await toEndpoints(harness, silent, { timeoutMs: 60_000 });
    const client = new Http2Client(harness, hurried.port);
    const call = { ":method": "POST", "content-type": "application/grpc", "grpc-timeout": "30m" };
    for (let i = 0; i < 4; i++) await client.request(call, "");
    for (const { sidecar } of [crowded, hurried]) {
      const hosts = sidecar.tables.clusters.get("app")?.hosts ?? [];
      assert.deepEqual(
        hosts.map((host) => host.isEjected),
        [false],
      );
    }
  });
});
