import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { Cluster, RetryPolicy } from "../model/proxy-config.ts";
import { Harness, metric, request } from "./testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "./testing/mesh.ts";

const retry: RetryPolicy = {
  attempts: 2,
  perTryTimeoutMs: 0,
  on: ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"],
  retriableStatusCodes: [503],
  baseBackoffMs: 1,
  maxBackoffMs: 10,
};

function retrying(ports: readonly number[], policy: Partial<RetryPolicy> = {}, timeoutMs = 0) {
  return [
    [virtualHost(["*"], [route(forward("app", { timeoutMs, retry: { ...retry, ...policy } }))])],
    {
      clusters: [
        cluster("app", { service: { namespace: "shop", name: "app", host: "app.shop", port: 80 } }),
      ],
      endpoints: [{ cluster: "app", endpoints: ports.map((port) => endpoint(port)) }],
    },
  ] as const;
}

describe("retries", () => {
  test("pass over a dead endpoint, and count one request", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const { port, sidecar } = await harness.outbound(
      ...retrying([await harness.deadPort(), app], { attempts: 5 }),
    );
    for (let i = 0; i < 20; i++) assert.equal((await request(port)).status, 200);
    assert.equal(metric(sidecar, "istio_requests_total", { response_code: "200" }), 20);
  });

  test("send the same body again, to another host", async () => {
    await using harness = new Harness();
    const bodies: string[] = [];
    const answering = (status: number) =>
      harness.app((req, res) => {
        let text = "";
        req.on("data", (bytes) => {
          text += bytes;
        });
        req.on("end", () => {
          bodies.push(text);
          res.writeHead(status).end(String(status));
        });
      });
    const { port } = await harness.outbound(
      ...retrying([await answering(503), await answering(200)], { attempts: 5 }),
    );
    for (let i = 0; i < 10; i++) {
      const answer = await request(port, { method: "POST" }, `body ${i}`);
      assert.deepEqual([answer.status, answer.body], [200, "200"]);
    }
    assert(bodies.length > 10, "nothing was retried");
    assert.equal(new Set(bodies).size, 10);
  });

  test("are as many as allowed; then the last answer counts, flagged URX", async () => {
    await using harness = new Harness();
    let tries = 0;
    const app = await harness.app((_, res) => {
      tries++;
      res.writeHead(503).end("busy");
    });
    const { port, sidecar } = await harness.outbound(...retrying([app]));
    const answer = await request(port);
    assert.deepEqual([answer.status, answer.body, tries], [503, "busy", 3]);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "URX" }), 1);
  });

  test("are not made for a body that is too long to keep", async () => {
    await using harness = new Harness();
    let tries = 0;
    const app = await harness.app((req, res) => {
      tries++;
      req.resume().on("end", () => res.writeHead(503).end());
    });
    const { port } = await harness.outbound(...retrying([app]));
    const answer = await request(port, { method: "POST" }, "x".repeat(300_000));
    assert.deepEqual([answer.status, tries], [503, 1]);
  });

  test("stay within a fifth of the load, or sixteen", async () => {
    await using harness = new Harness();
    let tries = 0;
    const waiting: (() => void)[] = [];
    const app = await harness.app((_, res) => {
      tries++;
      if (tries <= 60) waiting.push(() => res.writeHead(503).end());
      else res.writeHead(503).end();
      if (tries === 60) for (const answer of waiting) answer();
    });
    const { port } = await harness.outbound(
      ...retrying([app], { attempts: 1, baseBackoffMs: 50, maxBackoffMs: 50 }),
    );
    await Promise.all(Array.from({ length: 60 }, () => request(port)));
    assert(tries <= 60 + 17, `${tries - 60} retries of 60 requests`);
    assert(tries > 60, "no retry at all");
  });

  test("begin anew where one try takes too long", async () => {
    await using harness = new Harness();
    let tries = 0;
    const app = await harness.app((_, res) => {
      if (++tries > 1) res.end("late but here");
    });
    const { port } = await harness.outbound(
      ...retrying([app], { perTryTimeoutMs: 30, on: ["5xx"] }),
    );
    const answer = await request(port);
    assert.deepEqual([answer.status, answer.body, tries], [200, "late but here", 2]);
  });
});

describe("a route's timeout", () => {
  test("answers 504 UT, whatever the tries are at", async () => {
    await using harness = new Harness();
    const app = await harness.app(() => {});
    const { port, sidecar } = await harness.outbound(
      ...retrying([app], { perTryTimeoutMs: 25, on: ["5xx"], attempts: 100 }, 60),
    );
    const before = performance.now();
    const answer = await request(port);
    assert.deepEqual([answer.status, answer.body], [504, "upstream request timeout"]);
    assert(performance.now() - before >= 60);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "UT" }), 1);
  });
});

describe("a pooled connection", () => {
  test("that the application closes as it is taken is replaced by a fresh one", async () => {
    await using harness = new Harness();
    let connections = 0;
    const app = await harness.tcpApp((socket) => {
      const isFirst = ++connections === 1;
      let requests = 0;
      socket.on("data", () => {
        // The first connection answers once and breaks on the second request: the keep-alive race.
        if (isFirst && ++requests === 2) socket.resetAndDestroy();
        else socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    await client.send(get).until((text) => text.endsWith("ok"));
    client.text = "";
    assert.match(await client.send(get).until((text) => text.endsWith("ok")), /^HTTP\/1.1 200/);
    assert.equal(connections, 2);
  });

  test("is not trusted with a request that must not run twice", async () => {
    await using harness = new Harness();
    let requests = 0;
    const app = await harness.tcpApp((socket) => {
      socket.on("data", () => {
        if (++requests === 2) socket.resetAndDestroy();
        else socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    });
    const { port, sidecar } = await harness.toPorts([app]);
    assert.equal((await request(port)).status, 200);
    const answer = await request(port, { method: "POST" }, "order");
    assert.equal(answer.status, 503);
    assert.match(answer.body, /connection termination/);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "UC" }), 1);
  });
});

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
