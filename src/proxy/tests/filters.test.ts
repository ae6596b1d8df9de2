/** What routes do to requests and answers: CORS, paths rewritten by expression, redirects. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Cors, RateLimit, Rbac } from "../../model/proxy-config.ts";
import type { ProxyLimits } from "../environment.ts";
import { Harness, request } from "../testing/harness.ts";
import {
  cluster,
  endpoint,
  forward,
  outbound,
  passthrough,
  route,
  virtualHost,
} from "../testing/mesh.ts";

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

  test("names what a preflight asks for where it allows everything, for a page with credentials", async () => {
    await using harness = new Harness();
    const { port } = await sharingApp(harness, { ...sharing, methods: ["*"], headers: ["*"] });
    const asked = preflight("https://shop.example");
    const { headers } = await request(port, {
      ...asked,
      headers: { ...asked.headers, "access-control-request-headers": "x-a,x-b" },
    });
    assert.equal(headers["access-control-allow-methods"], "PUT");
    assert.equal(headers["access-control-allow-headers"], "x-a,x-b");
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

describe("a page whose request the whole listener refuses", () => {
  const all: Rbac = {
    action: "deny",
    policies: [{ name: "all", permissions: [{ kind: "any" }], principals: [{ kind: "any" }] }],
  };
  const none: RateLimit = { maxTokens: 0, tokensPerFill: 1, fillIntervalMs: 3_600_000 };
  const cases: readonly (readonly [
    why: string,
    status: number,
    rbac: readonly Rbac[],
    rateLimit: RateLimit | undefined,
    limits: Partial<ProxyLimits>,
  ])[] = [
    ["by authorization", 403, [all], undefined, {}],
    ["over a rate limit", 429, [], none, {}],
    ["for having taken on too much", 503, [], undefined, { maxRequests: 0 }],
  ];
  for (const [why, status, rbac, rateLimit, limits] of cases) {
    const refusing = async (harness: Harness) => {
      const more = rateLimit === undefined ? {} : { rateLimit };
      const routes = [
        route(forward("app"), {
          match: { path: { kind: "prefix", value: "/open" }, headers: [], queryParameters: [] },
          cors: sharing,
        }),
        route(forward("app")),
      ];
      const sidecar = await harness.sidecar(
        { destination: () => ({ address: "10.96.0.1", port: 80 }), limits },
        { ...outbound([virtualHost(["*"], routes)], rbac, more), clusters: [passthrough] },
      );
      return sidecar.portOf("virtualOutbound") ?? 0;
    };

    test(`${why} cannot read why unless its route shares answers with it`, async () => {
      await using harness = new Harness();
      const port = await refusing(harness);
      const headers = { origin: "https://shop.example" };
      const readable = await request(port, { path: "/open/a", headers });
      assert.equal(readable.status, status);
      assert.equal(readable.headers["access-control-allow-origin"], "https://shop.example");
      assert.equal(readable.headers["access-control-expose-headers"], "x-total");
      for (const [path, origin] of [
        ["/a", "https://shop.example"],
        ["/open/a", "https://evil.example"],
      ] as const) {
        const unreadable = await request(port, { path, headers: { origin } });
        assert.equal(unreadable.status, status);
        assert.equal(unreadable.headers["access-control-allow-origin"], undefined);
      }
    });

    test(`${why} gets nothing by asking first`, async () => {
      await using harness = new Harness();
      const port = await refusing(harness);
      const answer = await request(port, { path: "/open/a", ...preflight("https://shop.example") });
      assert.equal(answer.status, status);
      assert.equal(answer.headers["access-control-allow-methods"], undefined);
    });
  }
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
