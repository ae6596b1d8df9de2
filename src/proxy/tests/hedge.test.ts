/** Requests that are sent a second time while the first has no answer. */

import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { HedgePolicy, RetryPolicy } from "../../model/proxy-config.ts";
import { Harness, metric, request } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

type App = (request: IncomingMessage, response: ServerResponse) => void;

const soon: HedgePolicy = { kind: "delay", delayMs: 20 };
const retry: RetryPolicy = {
  attempts: 2,
  perTryTimeoutMs: 0,
  on: ["5xx"],
  retriableStatusCodes: [],
  baseBackoffMs: 1,
  maxBackoffMs: 10,
};

/** A sidecar that takes the first application first, then the second, and so on. */
async function hedging(
  harness: Harness,
  apps: readonly App[],
  hedge: HedgePolicy = soon,
  { now, ...more }: { retry?: RetryPolicy; timeoutMs?: number; now?: () => number } = {},
) {
  const ports = [];
  for (const app of apps) ports.push(await harness.app(app));
  const { port, sidecar } = await harness.outbound(
    [virtualHost(["*"], [route(forward("app", { hedge, ...more }))])],
    {
      clusters: [cluster("app", { balancer: { kind: "round-robin" } })],
      endpoints: [{ cluster: "app", endpoints: ports.map((each) => endpoint(each)) }],
    },
    { random: () => 0, ...(now === undefined ? {} : { now }) },
  );
  const runtime = sidecar.tables.clusters.get("app");
  assert(runtime !== undefined);
  const idle = () => until(() => runtime.load.activeRequests + runtime.load.activeRetries === 0);
  return { port, sidecar, runtime, idle, wheel: sidecar.runtime.environment.wheel };
}

const until = async (isSo: () => boolean) => {
  while (!isSo()) await delay(2);
};

/** Never answers; tells when its client has gone. */
function silent(): { readonly app: App; seen: number; gone: number } {
  const state = {
    seen: 0,
    gone: 0,
    app: (req: IncomingMessage, res: ServerResponse) => {
      state.seen++;
      req.resume();
      res.on("close", () => state.gone++);
    },
  };
  return state;
}

const answering =
  (body: string, status = 200): App =>
  (req, res) => {
    req.resume().on("end", () => res.writeHead(status).end(body));
  };

describe("a hedged request", () => {
  test("that has no answer goes to a second host; its answer wins, and the first try is given up", async () => {
    await using harness = new Harness();
    const first = silent();
    const { port, sidecar, runtime, idle } = await hedging(harness, [
      first.app,
      answering("second"),
    ]);
    const answers = [await request(port), await request(port)];
    assert.deepEqual(
      answers.map(({ status, body }) => `${status} ${body}`),
      ["200 second", "200 second"],
    );
    await idle();
    while (first.gone < first.seen) await new Promise(setImmediate);
    // Taking turns, the second request meets the first host again.
    assert.deepEqual(runtime.hedged, { sentTotal: 2, wonTotal: 2 });
    assert.equal(metric(sidecar, "istio_requests_total", { response_code: "200" }), 2);
    assert.deepEqual(
      runtime.hosts.map(({ active }) => active),
      [0, 0],
    );
  });

  test("that is answered in time goes out once", async () => {
    await using harness = new Harness();
    const { port, runtime } = await hedging(harness, [answering("a"), answering("b")], {
      kind: "delay",
      delayMs: 5_000,
    });
    await request(port);
    assert.equal(runtime.hedged.sentTotal, 0);
  });

  test("with a body carries it both times; a POST is never sent twice", async () => {
    await using harness = new Harness();
    const bodies: string[] = [];
    const slow: App = (req, res) => {
      let text = "";
      req.on("data", (bytes) => {
        text += bytes;
      });
      req.on("end", () => {
        bodies.push(`${req.method} ${text} ${req.headers["x-envoy-attempt-count"]}`);
        setTimeout(() => res.end("late"), 150);
      });
    };
    const { port, idle } = await hedging(harness, [slow, slow]);
    assert.equal((await request(port, { method: "PUT" }, "body")).body, "late");
    assert.equal((await request(port, { method: "POST" }, "body")).body, "late");
    await idle();
    assert.deepEqual(bodies, ["PUT body 1", "PUT body 2", "POST body 1"]);
  });

  test("keeps waiting for the first where the second answers with an error", async () => {
    await using harness = new Harness();
    const first: App = (_, res) => setTimeout(() => res.end("first"), 120);
    const { port, runtime, idle } = await hedging(harness, [first, answering("broken", 500)]);
    const answer = await request(port);
    assert.deepEqual([answer.status, answer.body], [200, "first"]);
    await idle();
    assert.deepEqual(runtime.hedged, { sentTotal: 1, wonTotal: 0 });
  });

  test("whose first try breaks is answered by the second", async () => {
    await using harness = new Harness();
    const first: App = (req) => setTimeout(() => req.socket.destroy(), 60);
    const second: App = (_, res) => setTimeout(() => res.end("second"), 100);
    const { port, idle } = await hedging(harness, [first, second]);
    assert.equal((await request(port)).body, "second");
    await idle();
  });

  test("fails once, when both tries have; and is retried then", async () => {
    await using harness = new Harness();
    let tries = 0;
    const breaking =
      (ms: number): App =>
      (req, res) => {
        if (++tries > 2) res.end("third");
        else setTimeout(() => req.socket.destroy(), ms);
      };
    const { port, idle } = await hedging(harness, [breaking(60), breaking(90)], soon, { retry });
    const answer = await request(port);
    assert.deepEqual([answer.status, answer.body, tries], [200, "third", 3]);
    await idle();
  });

  test("ends both tries with its timeout, and with its client", async () => {
    await using harness = new Harness();
    const [first, second] = [silent(), silent()];
    let now = 0;
    const { port, idle, wheel } = await hedging(harness, [first.app, second.app], soon, {
      timeoutMs: 120,
      now: () => now,
    });
    const pass = (ms: number) => {
      now += ms;
      wheel.turn();
    };
    const answer = request(port);
    await until(() => first.seen === 1);
    pass(40);
    await until(() => second.seen === 1);
    pass(120);
    assert.equal((await answer).status, 504);
    await idle();
    const client = await harness.raw(port);
    client.send("GET / HTTP/1.1\r\nhost: cart\r\n\r\n");
    await until(() => first.seen + second.seen === 3);
    pass(40);
    await until(() => first.seen + second.seen === 4);
    client.socket.resetAndDestroy();
    await idle();
    await until(() => first.gone + second.gone === 4);
  });

  test("waits for neither try longer than one may take", async () => {
    await using harness = new Harness();
    const perTry = { ...retry, attempts: 0, perTryTimeoutMs: 60 };
    const apps = [silent().app, silent().app];
    const { port, runtime, idle } = await hedging(harness, apps, soon, { retry: perTry });
    assert.equal((await request(port)).status, 504);
    assert.equal(runtime.hedged.sentTotal, 1);
    await idle();
  });

  test("passes a long answer of the second try on as the client takes it", async () => {
    await using harness = new Harness();
    const body = "x".repeat(4 << 20);
    const { port, idle } = await hedging(harness, [silent().app, answering(body)]);
    assert.equal((await request(port)).body, body);
    await idle();
  });

  test("counts a broken answer of the second try against its host once", async () => {
    await using harness = new Harness();
    const breaking: App = (req, res) => {
      res.writeHead(200, { "content-length": 100 }).write("half");
      setTimeout(() => req.socket.destroy(), 20);
    };
    const { port, sidecar, runtime, idle } = await hedging(harness, [silent().app, breaking]);
    await assert.rejects(request(port));
    await idle();
    const strains = runtime.hosts.map(({ strain }) => strain);
    assert(Math.max(...strains) < 4, `${strains}`); // 3.7 after one failure, 5.6 after two
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "UC" }), 1);
  });

  test("has its second copy of a body counted among what is held", async () => {
    await using harness = new Harness();
    const never: HedgePolicy = { kind: "delay", delayMs: 60_000 };
    const [first, second] = [silent(), silent()];
    const { port, sidecar, idle } = await hedging(harness, [first.app, second.app], never);
    const body = "x".repeat(10_000);
    const client = await harness.raw(port);
    client.send(`PUT / HTTP/1.1\r\nhost: cart\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await until(() => first.seen + second.seen === 1);
    const { overload } = sidecar.runtime.environment;
    overload.measure();
    assert(overload.heldBytes >= body.length, `${overload.heldBytes}`);
    client.socket.resetAndDestroy();
    await idle();
    overload.measure();
    assert.equal(overload.heldBytes, 0);
  });

  test("is sent no second time beyond the budget of retries", async () => {
    await using harness = new Harness();
    const waiting: ServerResponse[] = [];
    const slow: App = (_, res) => void waiting.push(res);
    const { port, runtime, idle } = await hedging(harness, [slow, slow]);
    runtime.config = { ...runtime.config, circuitBreakers: { maxRetries: 3 } };
    const asked = Promise.all(Array.from({ length: 20 }, () => request(port)));
    await until(() => waiting.length === 20 + 3);
    await delay(50); // well over the delay: whoever may go out again has
    for (const response of waiting) response.end("slow");
    const answers = await asked;
    assert(answers.every(({ status }) => status === 200));
    assert.equal(runtime.hedged.sentTotal, 3);
    await idle();
  });

  test("that finds the cluster full is not sent again, and not counted as if it were", async () => {
    await using harness = new Harness();
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app", { hedge: soon }))])],
      {
        clusters: [cluster("app", { circuitBreakers: { maxRequests: 1 } })],
        endpoints: [
          {
            cluster: "app",
            endpoints: await Promise.all(
              ["a", "b"].map(async () =>
                endpoint(
                  await harness.app((_, res) => void setTimeout(() => res.end("late"), 200)),
                ),
              ),
            ),
          },
        ],
      },
    );
    const runtime = sidecar.tables.clusters.get("app");
    assert.equal((await request(port)).body, "late");
    assert.deepEqual(runtime?.hedged, { sentTotal: 0, wonTotal: 0 });
    assert.deepEqual([runtime?.load.activeRequests, runtime?.load.activeRetries], [0, 0]);
  });

  test("by percentile waits for what most answers take, once enough are known", async () => {
    await using harness = new Harness();
    let hangs = true;
    const mostly: App = ({ url }, res) => {
      if (url !== "/first-hangs" || !hangs) res.end("quick");
      else hangs = false; // the next one does not
    };
    const { port, runtime, idle } = await hedging(harness, [mostly, mostly], {
      kind: "percentile",
      percent: 90,
    });
    for (let i = 0; i < 120; i++) await request(port);
    await new Promise((resolve) => setTimeout(resolve, 510)); // looked up twice a second
    const sentBefore = runtime.hedged.sentTotal;
    assert.equal((await request(port, { path: "/first-hangs" })).body, "quick");
    assert(runtime.hedged.sentTotal > sentBefore);
    await idle();
  });

  test("over HTTP/2 resets the stream of the try that lost", async () => {
    await using harness = new Harness();
    let reset = 0;
    const slow = await http2App(harness, (stream) => {
      stream.on("close", () => reset++);
    });
    const quick = await http2App(harness, (stream) => {
      stream.respond({ ":status": 200 });
      stream.end("quick");
    });
    const { port } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app", { hedge: soon }))])],
      {
        clusters: [cluster("app", { protocol: "http/2", balancer: { kind: "round-robin" } })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(slow.port), endpoint(quick.port)] }],
      },
      { random: () => 0 },
    );
    assert.equal((await request(port)).body, "quick");
    await until(() => reset > 0);
    assert.equal((await request(port)).body, "quick");
  });
});
