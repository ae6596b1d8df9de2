/** Requests that are sent again: to whom, how often, and within which budget. */

import assert from "node:assert/strict";
import { constants, type ServerHttp2Stream } from "node:http2";
import { describe, test } from "node:test";
import type { Cluster, RetryPolicy } from "../../model/proxy-config.ts";
import { Harness, metric, request } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

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

  test("keep their place in the budget where an endpoint refuses one of them unseen", {
    timeout: 300_000,
  }, async () => {
    await using harness = new Harness();
    let tries = 0;
    const arrived = Promise.withResolvers<ServerHttp2Stream>();
    const app = await http2App(harness, (stream) => {
      tries++;
      if (tries === 1) stream.respond({ ":status": 503 }, { endStream: true });
      else if (tries === 2) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else arrived.resolve(stream);
    });
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app", { retry }))])],
      {
        clusters: [cluster("app", { protocol: "http/2" })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app.port)] }],
      },
    );
    const answer = request(port);
    const last = await arrived.promise;
    const runtime = sidecar.tables.clusters.get("app");
    assert.deepEqual([runtime?.load.activeRetries, runtime?.load.retriesTotal], [1, 1]);
    last.respond({ ":status": 200 });
    last.end("ok");
    assert.equal((await answer).body, "ok");
    assert.equal(runtime?.load.activeRetries, 0);
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
    let asked = 0;
    // Which of the two gets it first is chance: until some were retried.
    while (asked < 10 || (bodies.length === asked && asked < 100)) {
      const answer = await request(port, { method: "POST" }, `body ${asked++}`);
      assert.deepEqual([answer.status, answer.body], [200, "200"]);
    }
    assert(bodies.length > asked, "nothing was retried");
    assert.equal(new Set(bodies).size, asked);
  });

  test("go to the host of the request's key again, where they may repeat hosts", async () => {
    await using harness = new Harness();
    const answering = (status: number) =>
      harness.app((_, res) => res.writeHead(status).end(String(status)));
    const ports = [await answering(503), await answering(200)];
    const statuses = async (more: Partial<RetryPolicy>) => {
      const hash = [{ kind: "header" as const, name: "x-user" }];
      const action = forward("app", { hash, retry: { ...retry, attempts: 5, ...more } });
      const { port } = await harness.outbound([virtualHost(["*"], [route(action)])], {
        clusters: [cluster("app", { balancer: { kind: "ring-hash", minimumRingSize: 1_024 } })],
        endpoints: [{ cluster: "app", endpoints: ports.map((one) => endpoint(one)) }],
      });
      const seen = new Set<number>();
      for (let user = 0; user < 100; user++) {
        seen.add((await request(port, { headers: { "x-user": `${user}` } })).status);
      }
      return seen;
    };
    assert.deepEqual(await statuses({}), new Set([200]));
    assert.equal((await statuses({ mayRepeatHosts: true })).size, 2);
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
    let [tries, refused, now] = [0, 0, 0];
    const waiting: (() => void)[] = [];
    const app = await harness.app((_, res) => {
      tries++;
      if (tries <= 60) waiting.push(() => res.writeHead(503).end());
      else res.writeHead(503).end();
      if (tries === 60) for (const answer of waiting) answer();
    });
    const { port, sidecar } = await harness.outbound(
      ...retrying([app], { attempts: 1, baseBackoffMs: 50, maxBackoffMs: 50 }),
      { now: () => now },
    );
    const asked = Array.from({ length: 60 }, () => request(port).then(() => refused++));
    const load = sidecar.tables.clusters.get("app")?.load;
    // All have failed, and whoever goes out again waits to.
    while (tries < 60 || refused + (load?.activeRetries ?? 0) < 60) await new Promise(setImmediate);
    now += 100;
    await Promise.all(asked);
    assert(tries <= 60 + 17, `${tries - 60} retries of 60 requests`);
    assert(tries > 60, "no retry at all");
  });

  test("of requests that no endpoint took are as many as there are such requests, where no budget is asked for", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const dead = await harness.deadPort();
    const [hosts, config] = retrying([app, dead], { baseBackoffMs: 50, maxBackoffMs: 50 });
    const statuses = async (circuitBreakers: Cluster["circuitBreakers"]) => {
      const balancer = { kind: "round-robin" as const };
      const clusters = [cluster("app", { balancer, circuitBreakers })];
      const { port } = await harness.outbound(hosts, { ...config, clusters });
      const answers = await Promise.all(Array.from({ length: 80 }, () => request(port)));
      return new Set(answers.map(({ status }) => status));
    };
    assert.deepEqual([...(await statuses({}))], [200]);
    assert((await statuses({ maxRetries: 1 })).has(503));
  });

  test("go to the host that has not been tried, however much it has to do", async () => {
    await using harness = new Harness();
    const held: unknown[] = [];
    const busy = await harness.app((req, res) => {
      if (req.url === "/hold") held.push(res);
      else res.end("ok");
    });
    const dead = await harness.deadPort();
    const [hosts, config] = retrying([busy, dead]);
    const { port } = await harness.outbound(hosts, { ...config, clusters: [cluster("app")] });
    for (let i = 0; i < 30; i++) {
      const client = await harness.raw(port);
      client.send("GET /hold HTTP/1.1\r\nhost: cart\r\n\r\n");
    }
    while (held.length < 30) await new Promise((resolve) => setTimeout(resolve, 2));
    for (let i = 0; i < 20; i++) assert.equal((await request(port)).status, 200);
  });

  test("that the budget has no room for leave the answer as it came, flagged UO and counted", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.writeHead(503).end("busy"));
    const [hosts, config] = retrying([app]);
    const { port, sidecar } = await harness.outbound(hosts, {
      ...config,
      clusters: [cluster("app", { circuitBreakers: { maxRetries: 0 } })],
    });
    assert.equal((await request(port)).body, "busy");
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "UO" }), 1);
    const labels = { cluster_name: "app" };
    assert.equal(metric(sidecar, "envoy_cluster_upstream_rq_retry_overflow", labels), 1);
  });

  for (const { on, tries } of [
    { on: ["5xx", "retriable-status-codes", "unavailable"], tries: 1 },
    { on: ["envoy-ratelimited"], tries: 3 },
  ]) {
    test(`by ${on.join()} ask ${tries === 1 ? "nobody again who is" : "again who was"} over a rate limit`, async () => {
      await using harness = new Harness();
      let asked = 0;
      const app = await harness.app((_, res) => {
        asked++;
        res.writeHead(429, { "x-envoy-ratelimited": "true" }).end();
      });
      const policy = { on, retriableStatusCodes: [429] };
      const { port } = await harness.outbound(...retrying([app], policy));
      assert.equal((await request(port)).status, 429);
      assert.equal(asked, tries);
    });
  }

  test("of a call of gRPC whose endpoint is over its rate limit are not made by default", async () => {
    await using harness = new Harness();
    let asked = 0;
    const app = await http2App(harness, (stream) => {
      asked++;
      const limited = { "grpc-status": "14", "x-envoy-ratelimited": "true" };
      stream.respond({ "content-type": "application/grpc", ...limited }, { endStream: true });
    });
    const { port } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app", { retry }))])],
      {
        clusters: [cluster("app", { protocol: "http/2" })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app.port)] }],
      },
    );
    const call = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
    const { headers } = await new Http2Client(harness, port).request(call, "");
    assert.equal(headers["grpc-status"], "14");
    assert.equal(asked, 1);
  });

  test("begin anew where one try takes too long", async () => {
    await using harness = new Harness();
    let [tries, now] = [0, 0];
    const app = await harness.app((_, res) => {
      if (++tries > 1) res.end("late but here");
      else now += 50;
    });
    const { port, sidecar } = await harness.outbound(
      ...retrying([app], { perTryTimeoutMs: 30, on: ["5xx"], baseBackoffMs: 1, maxBackoffMs: 1 }),
      { now: () => now },
    );
    const asked = request(port);
    const load = sidecar.tables.clusters.get("app")?.load;
    while (load?.activeRetries !== 1) await new Promise(setImmediate);
    now += 30; // it has waited long enough to go out again
    const answer = await asked;
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

describe("a client that leaves while its request waits for another try", () => {
  test("does not take the connection away from whoever has it now", async () => {
    await using harness = new Harness();
    let answerSlow: (() => void) | undefined;
    let busy = 0;
    const app = await harness.app((req, res) => {
      if (req.url === "/slow") answerSlow = () => res.end("here");
      else res.writeHead(503).end(() => busy++);
    });
    const { port, sidecar } = await harness.outbound(
      ...retrying([app], { baseBackoffMs: 60_000, maxBackoffMs: 60_000 }),
      { random: () => 0.999 },
    );
    const [host] = sidecar.tables.clusters.get("app")?.hosts ?? [];
    const leaving = await harness.raw(port);
    leaving.send("GET /busy HTTP/1.1\r\nhost: a\r\n\r\n");
    while (busy === 0 || host?.pooled.idle !== 1) await new Promise(setImmediate);
    const slow = request(port, { path: "/slow" });
    while (answerSlow === undefined) await new Promise(setImmediate);
    leaving.socket.resetAndDestroy(); // a FIN alone would leave it waiting for its answer
    while (sidecar.runtime.connections.size > 1) await new Promise(setImmediate);
    answerSlow();
    assert.equal((await slow).body, "here");
  });
});

describe("a body that goes on while its request waits for another try", () => {
  test("arrives there from its beginning", async () => {
    await using harness = new Harness();
    let tries = 0;
    const app = await harness.app((req, res) => {
      if (++tries === 1) {
        res.writeHead(503).end();
        return;
      }
      let length = 0;
      req.on("data", (bytes) => {
        length += bytes.length;
      });
      req.on("end", () => res.end(String(length)));
    });
    const { port } = await harness.outbound(
      ...retrying([app], { baseBackoffMs: 200, maxBackoffMs: 200 }),
      { random: () => 0.999 },
    );
    const client = await harness.raw(port);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n");
    client.send("x".repeat(1_000));
    while (tries === 0) await new Promise(setImmediate);
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.send("x".repeat(199_000));
    const text = await client.until((text) => text.endsWith("200000"));
    assert.equal(text.slice(0, 15), "HTTP/1.1 200 OK");
    assert.equal(tries, 2);
  });
});
