/** What a client is told, and the log, of a request that a circuit breaker or its endpoint refused. */

import assert from "node:assert/strict";
import { constants } from "node:http2";
import { describe, test } from "node:test";
import type { RetryPolicy } from "../../model/proxy-config.ts";
import { Harness, metric, request } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const retry: RetryPolicy = {
  attempts: 2,
  perTryTimeoutMs: 0,
  on: ["5xx"],
  retriableStatusCodes: [],
  baseBackoffMs: 1,
  maxBackoffMs: 1,
};

describe("a request beyond a circuit breaker's limit", () => {
  test("is answered so that nobody on the way back tries again", async () => {
    await using harness = new Harness();
    let arrived = 0;
    const app = await harness.app(() => arrived++);
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      {
        clusters: [cluster("app", { circuitBreakers: { maxRequests: 1 } })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      },
    );
    const further = await harness.outbound(
      [virtualHost(["*"], [route(forward("next", { retry }))])],
      {
        clusters: [cluster("next")],
        endpoints: [{ cluster: "next", endpoints: [endpoint(port)] }],
      },
    );
    const first = await harness.raw(port);
    first.send("GET / HTTP/1.1\r\nhost: cart\r\n\r\n");
    while (arrived === 0) await new Promise(setImmediate);
    const { status, headers } = await request(further.port);
    assert.deepEqual([status, headers["x-envoy-overloaded"]], [503, "true"]);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "UO" }), 1);
  });
});

describe("a stream that its endpoint resets", () => {
  for (const [name, code] of [
    ["with an error", constants.NGHTTP2_INTERNAL_ERROR],
    ["unseen", constants.NGHTTP2_REFUSED_STREAM],
    ["as cancelled", constants.NGHTTP2_CANCEL],
  ] as const) {
    test(`${name} is told from a connection that broke: UR`, async () => {
      await using harness = new Harness();
      const app = await http2App(harness, (stream) => stream.close(code));
      const { port, sidecar } = await harness.outbound(
        [virtualHost(["*"], [route(forward("app"))])],
        {
          clusters: [cluster("app", { protocol: "http/2" })],
          endpoints: [{ cluster: "app", endpoints: [endpoint(app.port)] }],
        },
      );
      const { status, body } = await request(port);
      assert.equal(status, 503);
      assert.match(body, /reset reason: remote (refused stream )?reset$/);
      assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "UR" }), 1);
    });
  }
});
