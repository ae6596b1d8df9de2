/** Local rate limits: of a route, of a port of the pod, and through changes of configuration. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import type { ProxyConfig, RateLimit } from "../../model/proxy-config.ts";
import { Harness, metric, request, snapshot } from "../testing/harness.ts";
import { Http2Client } from "../testing/http2.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  outbound,
  route,
  virtualHost,
} from "../testing/mesh.ts";
import { TokenBucket } from "../token-buckets.ts";

/** Nothing comes back while a test runs. */
const three: RateLimit = { maxTokens: 3, tokensPerFill: 1, fillIntervalMs: 3_600_000 };

async function statuses(port: number, count: number): Promise<string> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) found.push((await request(port)).status);
  return found.join(" ");
}

describe("a token bucket", () => {
  test("lets a burst through, then what its rate allows, and never saves more than a burst", () => {
    let now = 0;
    const limit = { maxTokens: 5, tokensPerFill: 10, fillIntervalMs: 1_000 };
    const bucket = new TokenBucket(limit, () => now);
    const takes = (times: number) => {
      let taken = 0;
      for (let i = 0; i < times; i++) if (bucket.take("a")) taken++;
      return taken;
    };
    assert.equal(takes(20), 5);
    now = 99;
    assert.equal(takes(20), 0);
    now = 100; // a tenth of a second is one of ten
    assert.equal(takes(20), 1);
    now = 1_100;
    assert.equal(takes(20), 5, "not ten");
    let total = 0;
    for (; now < 11_100; now += 7) total += takes(3);
    assert(Math.abs(total - 100) <= 1, `${total} in ten seconds`);
    assert.equal(bucket.refusedTotal > 0, true);
  });
});

describe("a token bucket that several take from", () => {
  /** Requests a second that each caller got, of those that it asked for, over ten seconds at a rate of 100. */
  const shares = (asked: Readonly<Record<string, number>>): Readonly<Record<string, number>> => {
    let now = 0;
    const limit = { maxTokens: 100, tokensPerFill: 100, fillIntervalMs: 1_000 };
    const bucket = new TokenBucket(limit, () => now);
    const got: Record<string, number> = {};
    const random = seededRandom(5);
    for (; now < 20_000; now++) {
      // Callers in turn of chance, each as often as it asks.
      for (const [caller, rate] of Object.entries(asked).sort(() => random() - 0.5)) {
        for (let due = rate / 1_000; random() < due; due--) {
          if (bucket.take(caller) && now >= 10_000) got[caller] = (got[caller] ?? 0) + 1;
        }
      }
    }
    return Object.fromEntries(Object.entries(got).map(([name, count]) => [name, count / 10]));
  };
  const near = (found: number | undefined, wanted: number) =>
    assert.ok(Math.abs((found ?? 0) - wanted) < wanted * 0.15, `${found}, want ${wanted}`);

  test("serves who asks for little in full, and gives the rest to who asks for more", () => {
    const { greedy, modest } = shares({ greedy: 1_000, modest: 30 });
    near(modest, 30);
    near(greedy, 70);
  });

  test("shares evenly among those who all want more", () => {
    const { a, b, c, d } = shares({ a: 1_000, b: 1_000, c: 300, d: 200 });
    for (const one of [a, b, c, d]) near(one, 25);
  });

  test("withholds nothing from who is alone", () => {
    near(shares({ alone: 1_000 })["alone"], 100);
    near(shares({ alone: 60 })["alone"], 60);
  });

  test("remembers a bounded number of callers, and still lets the others in where there is room", () => {
    let now = 0;
    const bucket = new TokenBucket(
      { maxTokens: 10_000, tokensPerFill: 1, fillIntervalMs: 3_600_000 },
      () => now,
    );
    let taken = 0;
    for (let i = 0; i < 4_000; i++) if (bucket.take(`caller ${i}`)) taken++;
    assert.equal(taken, 4_000);
    now = 1;
    assert.equal(bucket.take("one more"), true);
  });
});

describe("a route with a local rate limit", () => {
  const limited = (app: number, rateLimit: RateLimit): Partial<ProxyConfig> => ({
    ...outbound([
      virtualHost(
        ["*"],
        [
          route(forward("app"), {
            name: "limited",
            rateLimit,
            match: {
              path: { kind: "prefix", value: "/limited" },
              headers: [],
              queryParameters: [],
            },
          }),
          route(forward("app")),
        ],
      ),
    ]),
    clusters: [
      cluster("app", { service: { namespace: "shop", name: "app", host: "app.shop", port: 80 } }),
    ],
    endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
  });
  const start = async (harness: Harness) => {
    let served = 0;
    const app = await harness.app((_, res) => {
      served++;
      res.end("ok");
    });
    const destination = () => ({ address: "10.96.0.1", port: 80 });
    const sidecar = await harness.sidecar({ destination }, limited(app, three));
    const port = sidecar.portOf("virtualOutbound") ?? 0;
    return { app, port, sidecar, served: () => served };
  };

  test("answers 429 beyond it, flagged RL, and others are not counted", async () => {
    await using harness = new Harness();
    const { port, sidecar, served } = await start(harness);
    for (let i = 0; i < 5; i++) assert.equal((await request(port)).status, 200);
    for (let i = 0; i < 3; i++) {
      assert.equal((await request(port, { path: "/limited" })).status, 200);
    }
    const refused = await request(port, { path: "/limited" });
    assert.deepEqual(
      [refused.status, refused.body, refused.headers["x-envoy-ratelimited"]],
      [429, "local_rate_limited", "true"],
    );
    assert.equal(served(), 8);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "RL" }), 1);
    assert.equal(metric(sidecar, "envoy_http_local_rate_limit_rate_limited", {}), 1);
    const client = new Http2Client(harness, port);
    const grpc = { ":method": "POST", ":path": "/limited", "content-type": "application/grpc" };
    const call = await client.request(grpc, "");
    assert.equal(call.headers["grpc-status"], "14");
  });

  test("keeps what is in its bucket when something changes, its limit, too", async () => {
    await using harness = new Harness();
    const { app, port, sidecar } = await start(harness);
    for (let i = 0; i < 3; i++) await request(port, { path: "/limited" });
    await sidecar.apply(snapshot({ ...limited(app, three) }));
    assert.equal((await request(port, { path: "/limited" })).status, 429);
    await sidecar.apply(snapshot({ ...limited(app, { ...three, maxTokens: 100 }) }));
    assert.equal((await request(port, { path: "/limited" })).status, 429, "no burst for a push");
    const quick = { maxTokens: 100, tokensPerFill: 100, fillIntervalMs: 1_000 };
    await sidecar.apply(snapshot({ ...limited(app, quick) }));
    while ((await request(port, { path: "/limited" })).status === 429) {}
  });
});

describe("a port of the pod with a local rate limit", () => {
  test("lets so many in, whoever calls, and refuses what is not authorized without counting it", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const { listeners, clusters } = inbound(app, {
      rbac: [
        {
          action: "deny",
          policies: [
            {
              name: "no-admin",
              permissions: [{ kind: "path", match: { kind: "exact", value: "/admin" } }],
              principals: [{ kind: "any" }],
            },
          ],
        },
      ],
    });
    const withLimit = listeners.map((listener) => ({
      ...listener,
      filterChains: listener.filterChains
        .filter(({ tls }) => tls === undefined)
        .map((chain) => ({
          ...chain,
          ...(chain.filter.kind === "http"
            ? { filter: { ...chain.filter, rateLimit: three } }
            : {}),
        })),
    }));
    const destination = () => ({ address: "127.0.0.1", port: app });
    const sidecar = await harness.sidecar({ destination }, { listeners: withLimit, clusters });
    const port = sidecar.portOf("virtualInbound") ?? 0;
    for (let i = 0; i < 5; i++) assert.equal((await request(port, { path: "/admin" })).status, 403);
    assert.equal(await statuses(port, 5), "200 200 200 429 429");
  });
});
