/** Places in traces, and spans on their way to the collector. */

import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Tracing } from "../../model/proxy-config.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness, metric, request, snapshot } from "../testing/harness.ts";
import { cluster, endpoint, forward, outbound, route, virtualHost } from "../testing/mesh.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const trace = "0af7651916cd43dd8448eb211c80319c";
const parent = "b7ad6b7169203331";

interface SentSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { key: string; value: { stringValue: string } }[];
  readonly status?: { code: number };
}

/** A sidecar in front of an application, and a collector of spans. */
class Scene {
  readonly harness: Harness;
  /** Heads that the application got. */
  readonly seen: IncomingHttpHeaders[] = [];
  readonly spans: SentSpan[] = [];
  /** What the collector was asked for. */
  readonly posts: string[] = [];
  readonly logged: Record<string, unknown>[] = [];
  collectorStatus = 200;
  /** The collector answers nobody, until `release`. */
  isHeld = false;
  #held: (() => void)[] = [];
  port = 0;
  sidecar: Sidecar | undefined;
  #check: () => void = () => {};

  constructor(harness: Harness) {
    this.harness = harness;
  }

  async open(percent: number, appPort?: number, now?: () => number): Promise<this> {
    const { harness } = this;
    const app = await harness.app((req, res) => {
      this.seen.push(req.headers);
      res.statusCode = req.url === "/broken" ? 500 : 200;
      res.end("cart");
    });
    const collector = await harness.app((req, res) => {
      let body = "";
      req.on("data", (bytes) => {
        body += bytes;
      });
      req.on("end", () => {
        this.posts.push(
          `${req.method} ${req.headers.host}${req.url} ${req.headers["content-type"]}`,
        );
        const sent = JSON.parse(body);
        const [{ resource, scopeSpans }] = sent.resourceSpans;
        assert.equal(resource.attributes[0].value.stringValue, "web.shop");
        this.spans.push(...scopeSpans[0].spans);
        res.statusCode = this.collectorStatus;
        if (this.isHeld) this.#held.push(() => res.end("{}"));
        else res.end("{}");
        this.#check();
      });
    });
    const tracing: Tracing = {
      cluster: "collector",
      host: "otel.observe:4318",
      path: "/v1/traces",
      service: "web.shop",
      percent,
    };
    const service = { namespace: "shop", name: "cart", host: "cart.shop", port: 80 };
    this.sidecar = await harness.sidecar(
      {
        destination: () => ({ address: "10.96.0.1", port: 80 }),
        accessLog: (line) => this.logged.push(JSON.parse(line)),
        ...(now === undefined ? {} : { now }),
      },
      {
        ...outbound([virtualHost(["*"], [route(forward("cart"))])], [], {
          accessLog: true,
          tracing,
        }),
        clusters: [cluster("cart", { service }), cluster("collector")],
        endpoints: [
          { cluster: "cart", endpoints: [endpoint(appPort ?? app)] },
          { cluster: "collector", endpoints: [endpoint(collector)] },
        ],
      },
    );
    this.port = this.sidecar.portOf("virtualOutbound") ?? 0;
    return this;
  }

  release(): void {
    this.isHeld = false;
    for (const answer of this.#held.splice(0)) answer();
  }

  /** Resolves with the spans once the collector has so many. */
  async told(count: number): Promise<readonly SentSpan[]> {
    while (this.spans.length < count) {
      await new Promise<void>((resolve) => {
        this.#check = resolve;
      });
    }
    return this.spans;
  }
}

function attribute(span: SentSpan | undefined, key: string): string | undefined {
  return span?.attributes.find((one) => one.key === key)?.value.stringValue;
}

describe("a traced request", () => {
  test("begins a trace where it has none, and carries its place on", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(100);
    await request(scene.port, { path: "/a?b=c", headers: { "user-agent": "test" } });
    const [span] = await scene.told(1);
    const place = `00-${span?.traceId}-${span?.spanId}-01`;
    assert.equal(scene.seen[0]?.["traceparent"], place);
    assert.equal(scene.seen[0]?.["x-b3-traceid"], undefined);
    assert.equal(span?.parentSpanId, undefined);
    assert.deepEqual([span?.name, span?.kind, span?.status], ["cart.shop:80/*", 3, undefined]);
    assert.equal(attribute(span, "http.url"), "http://cart/a?b=c");
    assert.equal(attribute(span, "http.status_code"), "200");
    assert.equal(attribute(span, "user_agent"), "test");
    assert.equal(attribute(span, "guid:x-request-id"), scene.seen[0]?.["x-request-id"]);
    assert.equal(attribute(span, "response_size"), "4");
    assert.ok(BigInt(span?.endTimeUnixNano ?? 0) >= BigInt(span?.startTimeUnixNano ?? 1));
    assert.equal(scene.logged[0]?.["trace_id"], span?.traceId);
    assert.deepEqual(scene.posts, ["POST otel.observe:4318/v1/traces application/json"]);
  });

  test("is below the span of its caller, in W3C's form and in B3's", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(0); // the caller has decided
    await request(scene.port, {
      headers: { traceparent: `00-${trace}-${parent}-01`, tracestate: "a=b" },
    });
    await request(scene.port, {
      headers: { "x-b3-traceid": trace, "x-b3-spanid": parent, "x-b3-sampled": "1" },
    });
    await request(scene.port, { headers: { b3: `${trace}-${parent}-1` } });
    const spans = await scene.told(3);
    assert.deepEqual(
      spans.map((span) => [span.traceId, span.parentSpanId]),
      [trace, trace, trace].map((id) => [id, parent]),
    );
    const [first, second, third] = scene.seen;
    const ids = spans.map(({ spanId }) => spanId);
    assert.equal(first?.["traceparent"], `00-${trace}-${ids[0]}-01`);
    assert.equal(first?.["tracestate"], "a=b");
    assert.equal(second?.["x-b3-spanid"], ids[1]);
    assert.equal(second?.["x-b3-parentspanid"], parent);
    assert.equal(second?.["traceparent"], `00-${trace}-${ids[1]}-01`);
    assert.equal(third?.["b3"], `${trace}-${ids[2]}-1-${parent}`);
  });

  test("that nobody is told of carries that on", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(100);
    await request(scene.port, { headers: { traceparent: `00-${trace}-${parent}-00` } });
    await request(scene.port, { headers: { "x-b3-sampled": "0" } });
    await request(scene.port, { path: "/broken" });
    const spans = await scene.told(1);
    assert.deepEqual(
      spans.map((span) => [attribute(span, "http.url"), span.status?.code]),
      [["http://cart/broken", 2]],
    );
    assert.match(String(scene.seen[0]?.["traceparent"]), new RegExp(`^00-${trace}-\\w{16}-00$`));
    assert.equal(scene.seen[1]?.["x-b3-sampled"], "0");
  });

  test("leaves behind what came with a place that cannot be read", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(0);
    await request(scene.port, { headers: { traceparent: "00-nonsense-01", tracestate: "a=b" } });
    assert.match(String(scene.seen[0]?.["traceparent"]), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    assert.equal(scene.seen[0]?.["tracestate"], undefined);
  });

  test("is told of where nobody answered it", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(100, await harness.deadPort());
    await request(scene.port);
    const [span] = await scene.told(1);
    assert.equal(attribute(span, "response_flags"), "UF");
    assert.equal(span?.status?.code, 2);
  });
});

describe("spans", () => {
  test("reach the collector from a sidecar that ends", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(100);
    const count = 300; // more than go at once
    for (let sent = 0; sent < count; sent += 50) {
      await Promise.all(Array.from({ length: 50 }, () => request(scene.port)));
    }
    await scene.sidecar?.drain(5_000);
    assert.equal(scene.spans.length, count);
  });

  test("that the collector does not take are counted, and cost no request anything", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(100);
    scene.collectorStatus = 503;
    await request(scene.port);
    await scene.told(1);
    const { sidecar } = scene;
    assert.ok(sidecar !== undefined);
    await sidecar.drain(5_000);
    assert.equal(metric(sidecar, "heddle_proxy_spans_total", { outcome: "dropped" }), 1);
    assert.equal(metric(sidecar, "heddle_proxy_spans_total", { outcome: "told" }), 0);
  });

  test("that wait keep little of what their requests said", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(100);
    const { sidecar } = scene;
    assert.ok(sidecar !== undefined);
    const long = "a".repeat(12_000);
    await request(scene.port); // what is made once
    await scene.told(1);
    scene.isHeld = true;
    collect();
    const before = process.memoryUsage().heapUsed;
    const headers = { "user-agent": long, "x-request-id": long, cookie: long };
    for (let sent = 0; sent < 400; sent += 20) {
      await Promise.all(Array.from({ length: 20 }, () => request(scene.port, { headers })));
      scene.seen.length = scene.logged.length = 0;
    }
    collect();
    const grown = process.memoryUsage().heapUsed - before;
    assert(grown < 8 * 2 ** 20, `${grown} bytes`); // 3 MB; with all that was said 14 MB
    scene.release();
    for (const span of await scene.told(401)) {
      assert((attribute(span, "user_agent") ?? "").length <= 256);
    }
  });

  test("that a collector hangs on do not hold up the end", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(100, undefined, () => 0); // the collector's time is never over
    scene.isHeld = true;
    await request(scene.port);
    await scene.sidecar?.drain(3_600_000);
  });

  test("reach their collector from a sidecar that traces no more and ends", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(100);
    const { sidecar } = scene;
    assert.ok(sidecar !== undefined);
    await request(scene.port);
    const { config } = sidecar.tables;
    const untraced = outbound([virtualHost(["*"], [route(forward("cart"))])]);
    await sidecar.apply({ ...snapshot({ ...config, ...untraced }), version: "2" });
    await sidecar.drain(5_000);
    assert.equal(scene.spans.length, 1);
  });

  test("still reach their collector after a new configuration", async () => {
    await using harness = new Harness();
    const scene = await new Scene(harness).open(100);
    const { sidecar } = scene;
    assert.ok(sidecar !== undefined);
    await sidecar.apply({ ...snapshot(sidecar.tables.config), version: "2" });
    await request(scene.port);
    assert.equal((await scene.told(1)).length, 1);
  });
});
