/** Endpoints that outlier detection takes out, and when they come back. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Cluster } from "../../model/proxy-config.ts";
import { Harness, request, snapshot } from "../testing/harness.ts";
import {
  cluster,
  endpoint,
  forward,
  outbound,
  passthrough,
  route,
  virtualHost,
} from "../testing/mesh.ts";

describe("outlier detection", () => {
  test("takes a failing endpoint out, and brings it back", async () => {
    await using harness = new Harness();
    let isBroken = true;
    const bad = await harness.app((_, res) => res.writeHead(isBroken ? 500 : 200).end("bad"));
    const good = await harness.app((_, res) => res.end("good"));
    let now = 1;
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      {
        clusters: [
          cluster("app", {
            balancer: { kind: "round-robin" },
            outlierDetection: {
              consecutive5xx: 3,
              consecutiveGatewayErrors: 0,
              intervalMs: 20,
              baseEjectionMs: 2_000,
              maxEjectionPercent: 50,
            },
          }),
        ],
        endpoints: [{ cluster: "app", endpoints: [endpoint(bad), endpoint(good)] }],
      },
      { now: () => now },
    );
    const hosts = sidecar.tables.clusters.get("app")?.hosts ?? [];
    const isOut = () => hosts.some((host) => host.isEjected);
    let failures = 0;
    while (!isOut()) if ((await request(port)).status === 500) failures++;
    assert.equal(failures, 3);
    for (let i = 0; i < 6; i++) assert.equal((await request(port)).body, "good");
    isBroken = false;
    now += 2_000;
    while (isOut()) await new Promise((resolve) => setTimeout(resolve, 5));
    const bodies = new Set<string>();
    for (let i = 0; i < 4; i++) bodies.add((await request(port)).body);
    assert.deepEqual([...bodies].sort(), ["bad", "good"]);
  });

  test("that is taken away leaves no endpoint out that it had ejected", async () => {
    await using harness = new Harness();
    let isBroken = true;
    const app = await harness.app((_, res) => res.writeHead(isBroken ? 500 : 200).end());
    const outlierDetection = {
      consecutive5xx: 1,
      consecutiveGatewayErrors: 0,
      intervalMs: 60_000,
      baseEjectionMs: 60_000,
      maxEjectionPercent: 100,
    };
    const configOf = (more: Partial<Cluster>) => ({
      ...outbound([virtualHost(["*"], [route(forward("app"))])]),
      clusters: [cluster("app", more), passthrough],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    });
    const destination = () => ({ address: "10.96.0.1", port: 80 });
    const sidecar = await harness.sidecar({ destination }, configOf({ outlierDetection }));
    const port = sidecar.portOf("virtualOutbound") ?? 0;
    assert.equal((await request(port)).status, 500);
    assert.equal((await request(port)).status, 503);
    isBroken = false;
    await sidecar.apply(snapshot(configOf({}), { version: "2" }));
    assert.equal((await request(port)).status, 200);
  });
});
