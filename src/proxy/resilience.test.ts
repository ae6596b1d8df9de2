import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { Cluster } from "../model/proxy-config.ts";
import { Harness, metric, request } from "./testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "./testing/mesh.ts";

describe("a connection that has grown old", () => {
  test("takes no more requests", async () => {
    await using harness = new Harness();
    let opened = 0;
    const app = await harness.tcpApp((socket) => {
      opened++;
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
      socket.on("end", () => socket.end());
    });
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      {
        clusters: [cluster("app", { maxConnectionDurationMs: 60_000 })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      },
    );
    const [host] = sidecar.tables.clusters.get("app")?.hosts ?? [];
    assert(host !== undefined);
    for (let i = 0; i < 3; i++) assert.equal((await request(port)).status, 200);
    assert.deepEqual([opened, host.idleConnections], [1, 1]);
    host.cluster.config = { ...host.cluster.config, maxConnectionDurationMs: 1 };
    await new Promise((resolve) => setTimeout(resolve, 5));
    host.sweep(-Infinity);
    while (host.connections > 0) await new Promise(setImmediate);
    assert.equal((await request(port)).status, 200);
    assert.equal(opened, 2);
  });
});

describe("a connection with keepalive", () => {
  test("has the kernel's timer running, others have not", async () => {
    const timers = async (settings: Partial<Cluster>) => {
      await using harness = new Harness();
      const app = await harness.app((_, res) => res.end("ok"));
      const { port } = await harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
        clusters: [cluster("app", settings)],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      });
      await request(port);
      const remote = app.toString(16).toUpperCase().padStart(4, "0");
      // /proc/net/tcp: local and remote address, state, queues, then the timer; 02 is keepalive.
      return readFileSync("/proc/self/net/tcp", "utf8")
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[2]?.endsWith(`:${remote}`) === true && fields[3] === "01")
        .map((fields) => fields[5]?.slice(0, 2));
    };
    const keepAlive = { timeMs: 30_000, intervalMs: 5_000, probes: 3 };
    assert.deepEqual(await timers({ keepAlive }), ["02"]);
    assert.deepEqual(await timers({}), ["00"]);
  });
});

describe("a circuit breaker", () => {
  test("answers 503 UO at once when its limit is reached", async () => {
    await using harness = new Harness();
    let release: () => void = () => {};
    let arrived: () => void = () => {};
    const hasArrived = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const app = await harness.app((_, res) => {
      release = () => res.end("ok");
      arrived();
    });
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      {
        clusters: [cluster("app", { circuitBreakers: { maxRequests: 1 } })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      },
    );
    const first = request(port);
    await hasArrived;
    const second = await request(port);
    assert.deepEqual([second.status, /overflow/.test(second.body)], [503, true]);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "UO" }), 1);
    release();
    assert.equal((await first).status, 200);
  });
});

describe("outlier detection", () => {
  test("takes a failing endpoint out, and brings it back", async () => {
    await using harness = new Harness();
    let isBroken = true;
    const bad = await harness.app((_, res) => res.writeHead(isBroken ? 500 : 200).end("bad"));
    const good = await harness.app((_, res) => res.end("good"));
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      {
        clusters: [
          cluster("app", {
            balancer: { kind: "round-robin" },
            outlierDetection: {
              consecutive5xx: 3,
              consecutiveGatewayErrors: 0,
              intervalMs: 20,
              baseEjectionMs: 2_000, // long enough for a busy machine to be asked six times
              maxEjectionPercent: 50,
            },
          }),
        ],
        endpoints: [{ cluster: "app", endpoints: [endpoint(bad), endpoint(good)] }],
      },
    );
    const hosts = sidecar.tables.clusters.get("app")?.hosts ?? [];
    const isOut = () => hosts.some((host) => host.isEjected);
    let failures = 0;
    while (!isOut()) if ((await request(port)).status === 500) failures++;
    assert.equal(failures, 3);
    for (let i = 0; i < 6; i++) assert.equal((await request(port)).body, "good");
    isBroken = false;
    while (isOut()) await new Promise((resolve) => setTimeout(resolve, 5));
    const bodies = new Set<string>();
    for (let i = 0; i < 4; i++) bodies.add((await request(port)).body);
    assert.deepEqual([...bodies].sort(), ["bad", "good"]);
  });
});
