/** Pooled connections that no sweep has looked at since their time was over. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Cluster } from "../../model/proxy-config.ts";
import { Harness, request } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const limits: readonly (readonly [string, Partial<Cluster>])[] = [
  ["waited too long", { idleTimeoutMs: 1 }],
  ["grown too old", { maxConnectionDurationMs: 1 }],
];

describe("a pooled connection that no sweep has looked at since it has", () => {
  for (const [what, limit] of limits) {
    for (const protocol of ["http/1.1", "http/2"] as const) {
      test(`${what} takes no request of ${protocol}`, async () => {
        await using harness = new Harness();
        const { port, sidecar } = await harness.outbound(
          [virtualHost(["*"], [route(forward("app"))])],
          {
            clusters: [cluster("app", protocol === "http/2" ? { ...limit, protocol } : limit)],
            endpoints: [{ cluster: "app", endpoints: [endpoint(await app(harness, protocol))] }],
          },
        );
        const runtime = sidecar.tables.clusters.get("app");
        for (let i = 1; i < 4; i++) {
          assert.equal((await request(port)).status, 200);
          assert.equal(runtime?.connectionsTotal, i);
          await new Promise((resolve) => setTimeout(resolve, 3)); // what the connection waits for
        }
      });
    }
  }
});

async function app(harness: Harness, protocol: "http/1.1" | "http/2"): Promise<number> {
  if (protocol === "http/1.1") return harness.app((_, res) => res.end("ok"));
  const { port } = await http2App(harness, (stream) => {
    stream.respond({ ":status": 200 });
    stream.end("ok");
  });
  return port;
}
