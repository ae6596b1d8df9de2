/** What an application of gRPC is told of how long it is waited for. */

import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http2";
import { describe, test } from "node:test";
import type { RetryPolicy } from "../../model/proxy-config.ts";
import { framed } from "../testing/grpc-web.ts";
import { Harness } from "../testing/harness.ts";
import { Http2Client, http2App, toHttp2App } from "../testing/http2.ts";

const failed = { ":status": 200, "content-type": "application/grpc", "grpc-status": "14" };
const hour = 3_600_000;

function retryWith(more: Partial<RetryPolicy>): RetryPolicy {
  return {
    attempts: 1,
    perTryTimeoutMs: 0,
    on: ["unavailable"],
    retriableStatusCodes: [],
    baseBackoffMs: 100,
    maxBackoffMs: 100,
    ...more,
  };
}

/** What each try of a call says, where every one fails. */
async function told(
  route: { readonly timeoutMs: number; readonly retry?: RetryPolicy },
  fields: Readonly<Record<string, string>>,
): Promise<readonly IncomingHttpHeaders[]> {
  await using harness = new Harness();
  const seen: IncomingHttpHeaders[] = [];
  const app = await http2App(harness, (stream, headers) => {
    seen.push(headers);
    stream.respond(failed, { endStream: true });
  });
  const { port } = await toHttp2App(harness, app.port, "http/2", {
    action: route,
    random: () => 1,
  });
  const client = new Http2Client(harness, port);
  await client.request({ ":method": "POST", te: "trailers", ...fields }, framed("hello"));
  return seen;
}

describe("the application is told that a call's answer is waited for", () => {
  const call = { "content-type": "application/grpc" };
  const cases: readonly (readonly [
    how: string,
    route: { readonly timeoutMs: number; readonly retry?: RetryPolicy },
    own: string | undefined,
    grpcTimeout: string | undefined,
    expected: string | undefined,
  ])[] = [
    ["for ever, where nobody says how long", { timeoutMs: 0 }, undefined, undefined, undefined],
    ["as long as the caller says", { timeoutMs: 0 }, "90S", "90S", "90000"],
    ["no longer than its route's timeout", { timeoutMs: 60_000 }, "90S", "60000m", "60000"],
    ["as long as the caller says where that is less", { timeoutMs: 90_000 }, "60S", "60S", "60000"],
    [
      "as long as its route says, where its caller does not",
      { timeoutMs: 60_000 },
      undefined,
      "60000m",
      "60000",
    ],
    [
      "no longer than a try may take",
      { timeoutMs: 0, retry: retryWith({ perTryTimeoutMs: 30_000 }) },
      "90S",
      "30000m",
      "30000",
    ],
    [
      "in no more digits than there may be",
      { timeoutMs: 30 * hour * 24 },
      undefined,
      "2592000S",
      "2592000000",
    ],
  ];
  for (const [how, route, own, grpcTimeout, expected] of cases) {
    test(how, async () => {
      const [headers] = await told(
        route,
        own === undefined ? call : { ...call, "grpc-timeout": own },
      );
      assert.equal(headers?.["grpc-timeout"], grpcTimeout);
      assert.equal(headers?.["x-envoy-expected-rq-timeout-ms"], expected);
    });
  }

  test("for what is left, at a later try", async () => {
    const [first, second, ...more] = await told(
      { timeoutMs: hour, retry: retryWith({}) },
      { ...call, "grpc-timeout": "2H" },
    );
    assert.equal(more.length, 0);
    assert.equal(first?.["grpc-timeout"], "3600000m");
    assert.match(String(second?.["grpc-timeout"]), /^\d{7}m$/);
    const left = Number.parseInt(String(second?.["grpc-timeout"]), 10);
    // It has waited for its second try at least.
    assert(left <= hour - 100 && left > 0, `${left} ms are left`);
    assert.equal(second?.["x-envoy-expected-rq-timeout-ms"], String(left));
    assert.equal(second?.["x-envoy-attempt-count"], "2");
  });

  test("and another request is not told in gRPC's words", async () => {
    const [headers] = await told({ timeoutMs: 60_000 }, { "grpc-timeout": "90S" });
    assert.equal(headers?.["grpc-timeout"], "90S");
    assert.equal(headers?.["x-envoy-expected-rq-timeout-ms"], "60000");
  });
});
