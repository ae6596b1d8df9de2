/** Circuit breakers, outlier detection, and limits, ages and keepalive of connections to endpoints. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { Cluster } from "../../model/proxy-config.ts";
import { Harness, metric, request } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

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
    assert.deepEqual([opened, host.pooled.idle], [1, 1]);
    host.cluster.config = { ...host.cluster.config, maxConnectionDurationMs: 1 };
    await new Promise((resolve) => setTimeout(resolve, 5));
    host.sweep();
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

describe("a limit of connections", () => {
  /** An application whose answers the test gives, and a sidecar in front of it. */
  async function limited(harness: Harness, circuitBreakers: Cluster["circuitBreakers"], apps = 1) {
    const waiting: (() => void)[] = [];
    const seen: string[] = [];
    let opened = 0;
    const ports: number[] = [];
    for (let i = 0; i < apps; i++) {
      const port = await harness.app(
        (req, res) => {
          seen.push(`${req.url}`);
          waiting.push(() => res.end(req.url));
        },
        () => opened++,
      );
      ports.push(port);
    }
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      {
        clusters: [cluster("app", { circuitBreakers, balancer: { kind: "round-robin" } })],
        endpoints: [{ cluster: "app", endpoints: ports.map((each) => endpoint(each)) }],
      },
    );
    const runtime = sidecar.tables.clusters.get("app");
    assert(runtime !== undefined);
    return { port, sidecar, runtime, waiting, seen, opened: () => opened };
  }

  const until = async (isSo: () => boolean) => {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
  };

  test("lets requests wait for the next that is free, in order", async () => {
    await using harness = new Harness();
    const { port, sidecar, runtime, waiting, seen, opened } = await limited(harness, {
      maxConnections: 1,
    });
    const answers = [];
    for (const path of ["/1", "/2", "/3"]) {
      answers.push(request(port, { path }));
      await until(() => seen.length + runtime.load.pendingRequests === answers.length);
    }
    assert.deepEqual([runtime.load.pendingRequests, runtime.connections], [2, 1]);
    for (let i = 1; i <= 3; i++) {
      await until(() => waiting.length === 1);
      waiting.pop()?.();
    }
    assert.deepEqual(
      (await Promise.all(answers)).map(({ body }) => body),
      ["/1", "/2", "/3"],
    );
    assert.deepEqual([seen, opened()], [["/1", "/2", "/3"], 1]);
    assert.equal(metric(sidecar, "envoy_cluster_upstream_cx_overflow", { cluster_name: "app" }), 2);
    assert.equal(runtime.load.pendingRequests, 0);
  });

  test("lets only so many wait; the next is refused: 503 UO", async () => {
    await using harness = new Harness();
    const { port, sidecar, runtime, waiting } = await limited(harness, {
      maxConnections: 1,
      maxPendingRequests: 1,
    });
    const first = request(port);
    await until(() => waiting.length === 1);
    const second = request(port);
    await until(() => runtime.load.pendingRequests === 1);
    assert.equal((await request(port)).status, 503);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "UO" }), 1);
    waiting.pop()?.();
    await until(() => waiting.length === 1);
    waiting.pop()?.();
    assert.deepEqual([(await first).status, (await second).status], [200, 200]);
  });

  test("gives the place of a client that left to the next", async () => {
    await using harness = new Harness();
    const { port, runtime, waiting, seen } = await limited(harness, { maxConnections: 1 });
    const first = request(port, { path: "/first" });
    await until(() => waiting.length === 1);
    const left = await harness.raw(port);
    left.send("GET /left HTTP/1.1\r\nhost: cart\r\n\r\n");
    await until(() => runtime.load.pendingRequests === 1);
    const last = request(port, { path: "/last" });
    await until(() => runtime.load.pendingRequests === 2);
    left.socket.resetAndDestroy(); // after a FIN alone a whole request is still answered
    await until(() => runtime.load.pendingRequests === 1);
    for (const answer of [first, last]) {
      await until(() => waiting.length === 1);
      waiting.pop()?.();
      assert.equal((await answer).status, 200);
    }
    assert.deepEqual(seen, ["/first", "/last"]);
  });

  test("opens another connection in the place of one that closed", async () => {
    await using harness = new Harness();
    const { port, waiting, opened } = await limited(harness, { maxConnections: 1 });
    const first = await harness.raw(port);
    first.send("GET /first HTTP/1.1\r\nhost: cart\r\n\r\n");
    await until(() => waiting.length === 1);
    const second = request(port);
    first.socket.resetAndDestroy(); // and so the connection that carried its request is of no use
    await until(() => waiting.length === 2);
    waiting.pop()?.();
    assert.deepEqual([(await second).status, opened()], [200, 2]);
  });

  test("leaves every host one connection", async () => {
    await using harness = new Harness();
    const { port, runtime, waiting } = await limited(harness, { maxConnections: 1 }, 2);
    const answers = [request(port), request(port)];
    await until(() => waiting.length === 2);
    assert.equal(runtime.connections, 2);
    for (const answer of waiting) answer();
    for (const answer of answers) assert.equal((await answer).status, 200);
  });

  test("does not forget who waits for a host whose only connection closed", async () => {
    await using harness = new Harness();
    const { port, runtime, waiting } = await limited(harness, { maxConnections: 1 }, 2);
    const leaving = [await harness.raw(port), await harness.raw(port)];
    for (const client of leaving) client.send("GET / HTTP/1.1\r\nhost: cart\r\n\r\n");
    await until(() => waiting.length === 2); // one connection to each host, which is more than there may be
    const later = [request(port), request(port)]; // one for each host, too
    await until(() => runtime.load.pendingRequests === 2);
    leaving[0]?.socket.resetAndDestroy();
    await until(() => waiting.length === 3);
    leaving[1]?.socket.resetAndDestroy();
    await until(() => waiting.length === 4);
    for (const answer of waiting.slice(2)) answer();
    for (const answer of later) assert.equal((await answer).status, 200);
  });

  test("that is raised lets those go that wait", async () => {
    await using harness = new Harness();
    const { port, runtime, waiting } = await limited(harness, { maxConnections: 1 });
    const answers = [request(port)];
    await until(() => waiting.length === 1);
    answers.push(request(port));
    await until(() => runtime.load.pendingRequests === 1);
    const endpoints = runtime.hosts.map((host) => host.endpoint);
    const config = { ...runtime.config, circuitBreakers: { maxConnections: 2 } };
    runtime.update(config, { endpoints }, runtime.security);
    await until(() => waiting.length === 2);
    for (const answer of waiting) answer();
    for (const answer of answers) assert.equal((await answer).status, 200);
  });

  test("in HTTP/2 lets requests wait for a stream", async () => {
    await using harness = new Harness();
    const app = await http2App(
      harness,
      (stream) => {
        setTimeout(() => {
          stream.respond({ ":status": 200 });
          stream.end("ok");
        }, 5);
      },
      { maxConcurrentStreams: 1 },
    );
    const { port } = await harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
      clusters: [cluster("app", { protocol: "http/2", circuitBreakers: { maxConnections: 1 } })],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app.port)] }],
    });
    assert.equal((await request(port)).status, 200); // the peer has said how many streams it takes
    const answers = await Promise.all(Array.from({ length: 6 }, () => request(port)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 200, 200, 200],
    );
    assert.equal(app.sessions.length, 1);
  });
});
