/** Endpoints that are asked how they are: by HTTP, gRPC and bytes, with real ones that are well and unwell. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Cluster, HealthCheck, HealthProbe } from "../../model/proxy-config.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness, metric, request, snapshot } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, outbound, route, virtualHost } from "../testing/mesh.ts";

const overHttp: Extract<HealthProbe, { kind: "http" }> = {
  kind: "http",
  path: "/healthz?full",
  method: "GET",
  headers: [["X-Probe", "yes"]],
  expected: [{ from: 200, to: 299 }],
  retriable: [{ from: 500, to: 599 }],
};

function checking(probe: HealthProbe, more: Partial<HealthCheck> = {}): HealthCheck {
  const often = { intervalMs: 20, noTrafficIntervalMs: 20, timeoutMs: 2_000 };
  return { probe, unhealthyThreshold: 2, healthyThreshold: 2, ...often, ...more };
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 2));

/** A time that passes only where a test has it pass, for those whose answers must not be late by chance. */
class Time {
  ms = 0;
  readonly now = () => this.ms;

  pass(ms: number, { runtime }: Sidecar): void {
    this.ms += ms;
    runtime.environment.wheel.turn();
  }
}

async function checked(
  harness: Harness,
  ports: readonly number[],
  healthCheck: HealthCheck,
  settings: Partial<Cluster> = {},
  time?: Time,
) {
  const { port, sidecar } = await harness.outbound(
    [virtualHost(["*"], [route(forward("app"))])],
    {
      clusters: [cluster("app", { balancer: { kind: "round-robin" }, healthCheck, ...settings })],
      endpoints: [{ cluster: "app", endpoints: ports.map((one) => endpoint(one)) }],
    },
    time === undefined ? {} : { now: time.now },
  );
  const hosts = sidecar.tables.clusters.get("app")?.hosts ?? [];
  /** Resolves once the endpoint has been checked and is as wanted. */
  const becomes = async (index: number, isUnwell: boolean) => {
    const host = hosts[index];
    while (host?.checked.against === undefined || host.checked.isUnwell !== isUnwell) await soon();
  };
  return { port, sidecar, hosts, becomes };
}

/** An application that serves all but its health as ever. */
async function moody(harness: Harness) {
  const mood = { status: 200, checks: 0, served: 0, heads: new Set<string>() };
  const port = await harness.app((req, res) => {
    if (req.url?.startsWith("/healthz") !== true) {
      mood.served++;
      res.end("served");
      return;
    }
    mood.checks++;
    mood.heads.add(`${req.method} ${req.url} ${req.headers.host} ${req.headers["x-probe"]}`);
    res.writeHead(mood.status).end("how I am");
  });
  return { mood, port };
}

describe("a health check over HTTP", () => {
  test("takes an endpoint out while it says that it is unwell, and costs no request", async () => {
    await using harness = new Harness();
    const [first, second] = [await moody(harness), await moody(harness)];
    const { port, sidecar, becomes } = await checked(
      harness,
      [first.port, second.port],
      checking(overHttp),
    );
    await becomes(0, false);
    first.mood.status = 503;
    await becomes(0, true);
    const before = first.mood.served;
    for (let i = 0; i < 10; i++) assert.equal((await request(port)).status, 200);
    assert.equal(first.mood.served, before);
    assert.deepEqual([...first.mood.heads], ["GET /healthz?full app yes"]);
    first.mood.status = 204;
    await becomes(0, false);
    for (let i = 0; i < 10; i++) await request(port);
    assert.equal(first.mood.served - before, 5);
    const requests = metric(sidecar, "istio_requests_total", {});
    assert.equal(requests, 20, "checks are no traffic");
    assert.ok(metric(sidecar, "envoy_cluster_health_check_attempt", { cluster_name: "app" }) > 4);
  });

  test("believes a status that it does not expect at once, and one that may pass after the threshold", async () => {
    await using harness = new Harness();
    const app = await moody(harness);
    const patient = { unhealthyThreshold: 1_000_000 };
    const { becomes } = await checked(harness, [app.port], checking(overHttp, patient));
    await becomes(0, false);
    app.mood.status = 500; // may pass
    const from = app.mood.checks;
    while (app.mood.checks < from + 5) await soon();
    await becomes(0, false);
    app.mood.status = 404;
    await becomes(0, true);
  });

  test("that finds no connection free says nothing of the endpoint, and does not wait on in front of requests", async () => {
    await using harness = new Harness();
    const waiting: (() => void)[] = [];
    const app = await harness.app((req, res) => {
      if (req.url?.startsWith("/healthz") === true) res.end();
      else waiting.push(() => res.end());
    });
    const strict = checking(overHttp, { timeoutMs: 20, unhealthyThreshold: 1 });
    const limit = { circuitBreakers: { maxConnections: 1 } };
    const time = new Time();
    const { port, sidecar, hosts, becomes } = await checked(harness, [app], strict, limit, time);
    const runtime = sidecar.tables.clusters.get("app");
    await becomes(0, false);
    const answer = request(port);
    const attempts = () => runtime?.checks?.attemptsTotal ?? 0;
    while (waiting.length === 0) await soon();
    const from = attempts();
    while (attempts() < from + 4) {
      time.pass(10, sidecar);
      await soon();
    }
    assert.equal(hosts[0]?.checked.isUnwell, false);
    assert(runtime !== undefined && runtime.load.pendingRequests <= 1, "earlier checks wait still");
    waiting.pop()?.();
    assert.equal((await answer).status, 200);
  });

  test("finds out an endpoint that takes connections and never answers, one check at a time", async () => {
    await using harness = new Harness();
    let [connections, asked] = [0, 0];
    const hole = await harness.tcpApp((socket) => {
      connections++;
      socket.on("data", () => asked++);
    });
    const good = await moody(harness);
    const rarely = { intervalMs: 60_000, noTrafficIntervalMs: 60_000 };
    const check = checking(overHttp, { timeoutMs: 40, ...rarely });
    const time = new Time();
    const ports = [hole, good.port];
    const { port, sidecar, becomes } = await checked(harness, ports, check, {}, time);
    await becomes(1, false);
    while (asked === 0) await soon();
    time.pass(60, sidecar);
    await becomes(0, true);
    assert.equal(connections, 1, "the first result decides");
    for (let i = 0; i < 10; i++) assert.equal((await request(port)).body, "served");
  });

  test("answers 503 UH where everybody is unwell", async () => {
    await using harness = new Harness();
    const dead = await harness.deadPort();
    const { port, becomes } = await checked(harness, [dead], checking(overHttp));
    await becomes(0, true);
    const answer = await request(port);
    assert.deepEqual([answer.status, answer.body], [503, "no healthy upstream"]);
  });

  test("comes rarely to a cluster that nobody uses, and often once somebody does", async () => {
    await using harness = new Harness();
    const app = await moody(harness);
    const check = checking(overHttp, { noTrafficIntervalMs: 3_600_000 });
    const { port, becomes } = await checked(harness, [app.port], check);
    await becomes(0, false);
    await new Promise((resolve) => setTimeout(resolve, 100)); // five intervals
    assert.equal(app.mood.checks, 1);
    await request(port);
    while (app.mood.checks < 3) await soon();
  });

  test("ends with its endpoint and with its cluster", async () => {
    await using harness = new Harness();
    const [gone, left] = [await moody(harness), await moody(harness)];
    const check = checking(overHttp);
    const { sidecar, becomes } = await checked(harness, [gone.port, left.port], check);
    await becomes(0, false);
    const apply = (ports: readonly number[]) =>
      sidecar.apply(
        snapshot({
          ...outbound([virtualHost(["*"], [route(forward("app"))])]),
          clusters: ports.length === 0 ? [] : [cluster("app", { healthCheck: check })],
          endpoints: [{ cluster: "app", endpoints: ports.map((one) => endpoint(one)) }],
        }),
      );
    await apply([left.port]);
    const [before, from] = [gone.mood.checks, left.mood.checks];
    while (left.mood.checks < from + 3) await soon();
    assert(gone.mood.checks <= before + 1, "one may have been under way");
    await apply([]);
    const last = left.mood.checks;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert(left.mood.checks <= last + 1);
  });
});

describe("a health check that is no request", () => {
  const broken: readonly (readonly [what: string, probe: Partial<typeof overHttp>])[] = [
    ["a path with a line end", { path: "/\r\n\r\nGET /admin HTTP/1.1\r\n" }],
    ["a path with spaces", { path: "/a b" }],
    ["a header with a line end", { headers: [["a", "b\r\n\r\nDELETE / HTTP/1.1"]] }],
    ["a host that is none", { host: "a b" }],
  ];
  for (const [what, probe] of broken) {
    test(`for ${what} is refused with the whole configuration, by name`, async () => {
      await using harness = new Harness();
      await assert.rejects(
        checked(harness, [await harness.deadPort()], checking({ ...overHttp, ...probe })),
        /build cluster app: healthCheck is not one request/,
      );
    });
  }
});

describe("a health check over gRPC", () => {
  test("asks the standard service, and believes what it says", async () => {
    await using harness = new Harness();
    let status = 1; // SERVING
    const asked = new Set<string>();
    const app = await http2App(harness, async (stream, headers) => {
      const parts: Buffer[] = [];
      for await (const bytes of stream) parts.push(bytes);
      asked.add(
        `${headers[":path"]} ${headers["content-type"]} ${Buffer.concat(parts).toString("hex")}`,
      );
      stream.respond(
        { ":status": 200, "content-type": "application/grpc" },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
    });
    const { becomes } = await checked(
      harness,
      [app.port],
      checking({ kind: "grpc", service: "shop", headers: [] }),
      { protocol: "http/2" },
    );
    await becomes(0, false);
    assert.deepEqual(
      [...asked],
      ["/grpc.health.v1.Health/Check application/grpc 00000000060a0473686f70"],
    );
    status = 2; // NOT_SERVING
    await becomes(0, true);
    status = 1;
    await becomes(0, false);
  });

  test("takes a service that is not there for unwell", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) => {
      const fields = { ":status": 200, "content-type": "application/grpc", "grpc-status": "12" };
      stream.respond(fields, { endStream: true });
    });
    const probe: HealthProbe = { kind: "grpc", service: "", headers: [] };
    const { becomes } = await checked(harness, [app.port], checking(probe), { protocol: "http/2" });
    await becomes(0, true);
  });
});

describe("a health check of bytes", () => {
  test("wants a connection, or all the bytes that it waits for", async () => {
    await using harness = new Harness();
    let answer = "+PO";
    const app = await harness.tcpApp((socket) => {
      socket.on("data", (bytes) => {
        if (bytes.toString() === "PING") socket.write(answer);
        setTimeout(() => socket.write("NG\r\n"), 5).unref();
      });
      socket.on("end", () => socket.end());
    });
    const hex = (text: string) => Buffer.from(text).toString("hex");
    const talks: HealthProbe = { kind: "tcp", send: hex("PING"), receive: [hex("+"), hex("PONG")] };
    const { becomes, hosts } = await checked(harness, [app], checking(talks, { timeoutMs: 300 }));
    await becomes(0, false);
    answer = "-LOADI";
    await becomes(0, true);
    assert.equal(hosts[0]?.connections, 0, "checks are in no pool");

    const opens: HealthProbe = { kind: "tcp", send: "", receive: [] };
    const both = await checked(harness, [app, await harness.deadPort()], checking(opens));
    await both.becomes(0, false);
    await both.becomes(1, true);
  });
});
