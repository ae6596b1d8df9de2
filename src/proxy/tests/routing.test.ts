/** Which cluster a request goes to: hosts, matches, weights, schemes; faults, and what there is no route for. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import type { RouteAction } from "../../model/proxy-config.ts";
import { Harness, metric, request } from "../testing/harness.ts";
import { Http2Client } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const everything = {
  path: { kind: "prefix", value: "/" },
  headers: [],
  queryParameters: [],
} as const;

describe("an outbound sidecar", () => {
  test("finds the route by host, path, header and query, and edits what the route says", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => {
      res.setHeader("x-internal", "secret");
      res.end(`${req.url} ${req.headers.host} ${req.headers["x-added"]} ${req.headers["x-gone"]}`);
    });
    const { port } = await harness.outbound(
      [
        virtualHost(
          ["cart.shop.svc.cluster.local", "cart"],
          [
            route(forward("app", { prefixRewrite: "/v2", hostRewrite: "inner" }), {
              match: {
                path: { kind: "prefix", value: "/api" },
                headers: [
                  { name: "x-user", match: { kind: "exact", value: "jason" }, invert: false },
                ],
                queryParameters: [],
              },
              requestHeaders: { set: [["x-added", "yes"]], add: [], remove: ["x-gone"] },
              responseHeaders: { set: [["x-seen", "1"]], add: [], remove: ["X-Internal"] },
            }),
            route(
              { kind: "respond", status: 418, body: "teapot" },
              {
                match: {
                  ...everything,
                  queryParameters: [{ name: "tea", match: { kind: "exact", value: "pot" } }],
                },
              },
            ),
            route(
              { kind: "redirect", status: 302, host: "elsewhere", path: "/new" },
              { match: { ...everything, path: { kind: "regex", value: "/old/[0-9]+" } } },
            ),
            route(forward("app")),
          ],
        ),
        virtualHost(["*.wild.example"], [route({ kind: "respond", status: 200, body: "wild" })]),
      ],
      {
        clusters: [cluster("app")],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      },
    );
    const ask = async (path: string, headers: Record<string, string> = {}) => {
      const answer = await request(port, { path, headers });
      return [answer.status, answer.body, answer.headers] as const;
    };
    const [status, body, headers] = await ask("/api/x?y=1", { "x-user": "jason", "x-gone": "1" });
    assert.deepEqual([status, body], [200, "/v2/x?y=1 inner yes undefined"]);
    assert.deepEqual([headers["x-seen"], headers["x-internal"]], ["1", undefined]);
    assert.deepEqual((await ask("/?tea=pot")).slice(0, 2), [418, "teapot"]);
    const [found, , where] = await ask("/old/7?q=1");
    assert.deepEqual([found, where["location"]], [302, "http://elsewhere/new?q=1"]);
    assert.equal(
      (await ask("/api/x", { "x-user": "other" }))[1],
      "/api/x cart undefined undefined",
    );
    assert.equal((await ask("/", { host: "cart.shop.svc.cluster.local:80" }))[0], 200);
    assert.equal((await ask("/", { host: "CART" }))[0], 200);
    assert.equal((await ask("/", { host: "a.wild.example" }))[1], "wild");
    assert.equal((await ask("/", { host: "wild.example" }))[0], 404);
  });

  test("splits by weight within binomial bounds", async () => {
    await using harness = new Harness();
    const apps = [
      await harness.app((_, res) => res.end("v1")),
      await harness.app((_, res) => res.end("v2")),
    ] as const;
    const { port } = await harness.outbound(
      [
        virtualHost(
          ["*"],
          [
            route(
              forward("", {
                clusters: [
                  { cluster: "v1", weight: 90 },
                  { cluster: "v2", weight: 10 },
                ],
              }),
            ),
          ],
        ),
      ],
      {
        clusters: [cluster("v1"), cluster("v2")],
        endpoints: [
          { cluster: "v1", endpoints: [endpoint(apps[0])] },
          { cluster: "v2", endpoints: [endpoint(apps[1])] },
        ],
      },
      { random: seededRandom(7) },
    );
    const client = await harness.raw(port);
    let second = 0;
    for (let i = 0; i < 400; i++) {
      client.text = "";
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      if ((await client.until((text) => /\r\n\r\nv[12]$/.test(text))).endsWith("v2")) second++;
    }
    assert(second > 20 && second < 62, `${second} of 400`); // 40 ± 3.6 standard deviations
  });

  test("says what is missing as Envoy does, and counts it", async () => {
    await using harness = new Harness();
    const dead = await harness.deadPort();
    const { port, sidecar } = await harness.outbound(
      [
        virtualHost(["nowhere"], [route(forward("not-there"))]),
        virtualHost(["nobody"], [route(forward("empty"))]),
        virtualHost(["refuses"], [route(forward("dead"))]),
        virtualHost(["hole"], [route(forward("hole"))]),
      ],
      {
        clusters: [
          cluster("empty"),
          cluster("dead"),
          cluster("hole", { discovery: { kind: "none" } }),
        ],
        endpoints: [{ cluster: "dead", endpoints: [endpoint(dead)] }],
      },
    );
    const outcome = async (host: string, flag: string) => {
      const { status, body } = await request(port, { headers: { host } });
      const counted = metric(sidecar, "istio_requests_total", {
        response_code: String(status),
        response_flags: flag,
      });
      return [status, body, counted];
    };
    assert.deepEqual(await outcome("unknown", "NR"), [404, "", 1]);
    assert.deepEqual(await outcome("nowhere", "NC"), [503, "", 1]);
    assert.deepEqual(await outcome("nobody", "UH"), [503, "no healthy upstream", 1]);
    assert.deepEqual(await outcome("hole", "UH"), [503, "no healthy upstream", 2]);
    const [status, body, counted] = await outcome("refuses", "UF");
    assert.deepEqual([status, counted], [503, 1]);
    assert.match(String(body), /reset reason: remote connection failure/);
  });

  test("sends what is not HTTP, or has no listener, where it was going", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) =>
      socket.on("data", (bytes) => socket.write(`echo ${bytes}`)),
    );
    const { sidecar } = await harness.toPorts([], {
      destination: () => ({ address: "127.0.0.1", port: app }),
    });
    const client = await harness.raw(sidecar.portOf("virtualOutbound") ?? 0);
    assert.equal(await client.send("ping").until((text) => text.length >= 9), "echo ping");
  });

  test("injects faults for the share it is told", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const { port, sidecar } = await harness.outbound(
      [
        virtualHost(
          ["*"],
          [
            route(forward("app"), {
              fault: { delay: { percent: 100, fixedMs: 30 }, abort: { percent: 100, status: 555 } },
              match: { ...everything, path: { kind: "exact", value: "/abort" } },
            }),
            route(forward("app"), { fault: { delay: { percent: 100, fixedMs: 30 } } }),
          ],
        ),
      ],
      { clusters: [cluster("app")], endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }] },
    );
    const before = performance.now();
    const aborted = await request(port, { path: "/abort" });
    assert.deepEqual([aborted.status, aborted.body], [555, "fault filter abort"]);
    assert(performance.now() - before >= 30);
    const delayed = await request(port, { path: "/slow?a", headers: { host: "b" } });
    assert.deepEqual([delayed.status, delayed.body], [200, "ok"]);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "DI,FI" }), 1);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "DI" }), 1);
  });
});

describe("a route that matches on the scheme", () => {
  const onHttps = (action: RouteAction) => {
    const match = { kind: "exact", value: "https" } as const;
    const headers = [{ name: ":scheme", match, invert: false }];
    return route(action, { match: { ...everything, headers } });
  };

  for (const [said, expected] of [
    ["https", 204],
    ["HTTPS", 204],
    ["http", 205],
    ["gopher", 205],
    [undefined, 205],
  ] as const) {
    test(`goes by what proxies before it say: ${said ?? "nothing"}`, async () => {
      await using harness = new Harness();
      const routes = [
        onHttps({ kind: "respond", status: 204, body: "" }),
        route({ kind: "respond", status: 205, body: "" }),
      ];
      const { port } = await harness.outbound([virtualHost(["*"], routes)], {});
      const fields = said === undefined ? {} : { "x-forwarded-proto": said };
      assert.equal((await request(port, { headers: fields })).status, expected);
      const client = new Http2Client(harness, port);
      assert.equal((await client.request(fields)).headers[":status"], expected);
    });
  }

  test("does not go by what the endpoint is not told", async () => {
    await using harness = new Harness();
    const routes = [
      onHttps({ kind: "respond", status: 204, body: "" }),
      route({ kind: "respond", status: 205, body: "" }),
    ];
    const { port } = await harness.outbound([virtualHost(["*"], routes)], {});
    const headers = { connection: "x-forwarded-proto", "x-forwarded-proto": "https" };
    assert.equal((await request(port, { headers })).status, 205);
  });

  test("sends a client of https elsewhere by https", async () => {
    await using harness = new Harness();
    const action = { kind: "redirect", status: 308, host: "shop" } as const;
    const { port } = await harness.outbound([virtualHost(["*"], [onHttps(action)])], {});
    const answer = await request(port, { headers: { "x-forwarded-proto": "https" } });
    assert.equal(answer.headers["location"], "https://shop/");
  });
});
