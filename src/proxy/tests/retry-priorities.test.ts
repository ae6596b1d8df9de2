/** Retries that go to endpoints of other priorities, as a VirtualService's `retryRemoteLocalities` asks. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Endpoint, RetryPolicy } from "../../model/proxy-config.ts";
import { Harness, request } from "../testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const retry: RetryPolicy = {
  attempts: 5,
  perTryTimeoutMs: 0,
  on: ["retriable-status-codes"],
  retriableStatusCodes: [503],
  baseBackoffMs: 1,
  maxBackoffMs: 1,
};

/** Who is asked for one request, in turn, where all that are named by a capital letter refuse. */
async function asked(
  priorities: readonly string[],
  policy: Partial<RetryPolicy>,
  more: Readonly<Record<string, Partial<Endpoint>>> = {},
): Promise<string> {
  await using harness = new Harness();
  const seen: string[] = [];
  const endpoints: Endpoint[] = [];
  for (const [priority, names] of priorities.entries()) {
    for (const name of names) {
      const port = await harness.app((_, res) => {
        seen.push(name);
        res.writeHead(name === name.toUpperCase() ? 503 : 200).end();
      });
      endpoints.push(endpoint(port, { priority, ...more[name] }));
    }
  }
  const action = forward("app", { retry: { ...retry, ...policy } });
  const { port } = await harness.outbound([virtualHost(["*"], [route(action)])], {
    clusters: [cluster("app")],
    endpoints: [{ cluster: "app", endpoints }],
  });
  await request(port);
  return seen.join("");
}

describe("retries", () => {
  test("stay at endpoints nearby that are well otherwise", async () => {
    assert.equal(await asked(["A", "b"], {}), "AAAAAA");
  });

  test("go elsewhere after two tries, where that is asked for", async () => {
    assert.equal(await asked(["A", "b"], { triesAtPriorities: 2 }), "AAb");
    assert.match(await asked(["AB", "c"], { triesAtPriorities: 2 }), /^(AB|BA)c$/);
    assert.equal(await asked(["A", "B", "c"], { triesAtPriorities: 2 }), "AABBc");
    assert.equal(await asked(["A", "b"], { triesAtPriorities: 2, mayRepeatHosts: true }), "AAb");
  });

  test("stay where they are as long as nobody elsewhere may be used", async () => {
    const more = { b: { isUnhealthy: true } as const };
    assert.equal(await asked(["A", "b"], { triesAtPriorities: 2 }, more), "AAAAAA");
  });

  test("begin anew once they have been everywhere", async () => {
    assert.equal(await asked(["A", "B"], { triesAtPriorities: 1 }), "ABAAAA");
  });
});
