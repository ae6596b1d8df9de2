import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Cors } from "../../model/proxy-config.ts";
import { Harness, request } from "../testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const sharing: Cors = {
  origins: [
    { kind: "exact", value: "https://shop.example" },
    { kind: "suffix", value: ".partner.example" },
  ],
  methods: ["GET", "PUT"],
  headers: ["x-token"],
  exposedHeaders: ["x-total"],
  maxAgeMs: 90_000,
  allowsCredentials: true,
  forwardsUnmatchedPreflights: false,
};

async function sharingApp(harness: Harness, cors: Cors) {
  const app = await harness.app((req, res) => {
    res.setHeader("access-control-allow-origin", "*");
    res.end(`app ${req.method}`);
  });
  return harness.outbound([virtualHost(["*"], [route(forward("app"), { cors })])], {
    clusters: [cluster("app")],
    endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
  });
}

const preflight = (origin: string) => ({
  method: "OPTIONS",
  headers: { origin, "access-control-request-method": "PUT" },
});

describe("a route with a CORS policy", () => {
  test("answers the preflight of an origin that is allowed", async () => {
    await using harness = new Harness();
    const { port } = await sharingApp(harness, sharing);
    const answer = await request(port, preflight("https://eu.partner.example"));
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "");
    const { headers } = answer;
    assert.equal(headers["access-control-allow-origin"], "https://eu.partner.example");
    assert.equal(headers["access-control-allow-methods"], "GET,PUT");
    assert.equal(headers["access-control-allow-headers"], "x-token");
    assert.equal(headers["access-control-max-age"], "90");
    assert.equal(headers["access-control-allow-credentials"], "true");
  });

  test("gives another origin no permission, and forwards its preflight where that is asked for", async () => {
    await using harness = new Harness();
    const kept = await sharingApp(harness, sharing);
    const refused = await request(kept.port, preflight("https://evil.example"));
    assert.deepEqual([refused.status, refused.body], [200, ""]);
    assert.equal(refused.headers["access-control-allow-origin"], undefined);
    const passed = await sharingApp(harness, { ...sharing, forwardsUnmatchedPreflights: true });
    assert.equal(
      (await request(passed.port, preflight("https://evil.example"))).body,
      "app OPTIONS",
    );
  });

  test("writes its permission in the place of the application's", async () => {
    await using harness = new Harness();
    const { port } = await sharingApp(harness, sharing);
    const { headers, body } = await request(port, { headers: { origin: "https://shop.example" } });
    assert.equal(body, "app GET");
    assert.equal(headers["access-control-allow-origin"], "https://shop.example");
    assert.equal(headers["access-control-expose-headers"], "x-total");
    const plain = await request(port);
    assert.equal(plain.headers["access-control-allow-origin"], "*");
  });

  test("lets a page read why the sidecar itself refused", async () => {
    await using harness = new Harness();
    const fault = { abort: { percent: 100, status: 418 } };
    const { port } = await harness.outbound(
      [virtualHost(["*"], [route(forward("nowhere"), { cors: sharing, fault })])],
      {},
    );
    const answer = await request(port, { headers: { origin: "https://shop.example" } });
    assert.equal(answer.status, 418);
    assert.equal(answer.headers["access-control-allow-origin"], "https://shop.example");
  });
});

describe("a path rewrite by expression", () => {
  const rewritten = async (pattern: string, substitution: string, path: string) => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => res.end(req.url));
    const action = forward("app", { regexRewrite: { pattern, substitution } });
    const { port } = await harness.outbound([virtualHost(["*"], [route(action)])], {
      clusters: [cluster("app")],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    });
    return (await request(port, { path })).body;
  };

  test("puts groups in, everywhere, and leaves the query alone", async () => {
    assert.equal(
      await rewritten(
        "^/service/([^/]+)(/.*)$",
        "\\2/instance/\\1",
        "/service/foo/v1/api?a=/service/x/",
      ),
      "/v1/api/instance/foo?a=/service/x/",
    );
    assert.equal(await rewritten("one", "two", "/xxx/one/yyy/one/zzz"), "/xxx/two/yyy/two/zzz");
    assert.equal(await rewritten("/a(b)?", "\\1$&\\0", "/a"), "/$&/a");
  });
});

describe("a redirect that rewrites the prefix", () => {
  test("keeps the rest of the path, and the query", async () => {
    await using harness = new Harness();
    const match = {
      path: { kind: "prefix" as const, value: "/old" },
      headers: [],
      queryParameters: [],
    };
    const action = { kind: "redirect" as const, status: 308, prefixRewrite: "/new" };
    const { port } = await harness.outbound([virtualHost(["*"], [route(action, { match })])], {});
    const { status, headers } = await request(port, { path: "/old/a?b=c" });
    assert.deepEqual([status, headers["location"]], [308, "http://cart/new/a?b=c"]);
  });
});
