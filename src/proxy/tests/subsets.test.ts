/** Requests whose routes mean a part of a cluster's endpoints, by what is said of those. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import type { Cluster, Endpoint, RouteAction, Subsets } from "../../model/proxy-config.ts";
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

const subsets: Subsets = {
  selectors: [{ keys: ["version"] }],
  fallback: "none",
  defaultPart: {},
};

type Forward = Partial<Extract<RouteAction, { kind: "forward" }>>;

function configOf(action: Forward, endpoints: readonly Endpoint[], more: Partial<Cluster> = {}) {
  const settings = { balancer: { kind: "random" }, subsets, ...more } as const;
  return {
    ...outbound([virtualHost(["*"], [route(forward("app", action))])], [], { accessLog: true }),
    clusters: [cluster("app", settings), passthrough],
    endpoints: [{ cluster: "app", endpoints }],
  };
}

async function start(harness: Harness, ...config: Parameters<typeof configOf>) {
  const destination = () => ({ address: "10.96.0.1", port: 80 });
  const options = { destination, random: seededRandom(3) };
  const sidecar = await harness.sidecar(options, configOf(...config));
  return { sidecar, port: sidecar.portOf("virtualOutbound") ?? 0 };
}

describe("a route that means a part of a cluster", () => {
  test("is answered by nobody else, whatever its endpoints are called by now", async () => {
    await using harness = new Harness();
    const apps = [0, 1, 2].map((index) => harness.app((_, res) => res.end(`${index}`)));
    const ports = await Promise.all(apps);
    const called = (...versions: readonly string[]) =>
      ports.map((port, index) => endpoint(port, { metadata: { version: versions[index] ?? "" } }));
    const action = { metadata: { version: "2" } };
    const { sidecar, port } = await start(harness, action, called("1", "2", "2"));
    const answers = async () => {
      const bodies = new Set<string>();
      for (let i = 0; i < 30; i++) bodies.add((await request(port)).body);
      return [...bodies].sort();
    };
    assert.deepEqual(await answers(), ["1", "2"]);
    await sidecar.apply(snapshot(configOf(action, called("2", "1", "1")), { version: "2" }));
    assert.deepEqual(await answers(), ["0"]);
    await sidecar.apply(snapshot(configOf(action, called("1", "1", "1")), { version: "3" }));
    assert.equal((await request(port)).status, 503);
  });

  test("does not leave it with a retry, also where no balancer comes upon who is untried", async () => {
    await using harness = new Harness();
    let strangers = 0;
    const failing = await harness.app((_, res) => res.writeHead(503).end());
    const good = await harness.app((_, res) => res.end("good"));
    const outside = await harness.app((_, res) => {
      strangers++;
      res.end("stranger");
    });
    const retry = {
      attempts: 1,
      perTryTimeoutMs: 0,
      on: ["5xx"],
      retriableStatusCodes: [],
      baseBackoffMs: 1,
      maxBackoffMs: 1,
    };
    const { port } = await start(harness, { metadata: { version: "1" }, retry }, [
      endpoint(failing, { weight: 1_000_000, metadata: { version: "1" } }),
      endpoint(good, { metadata: { version: "1" } }),
      endpoint(outside, { metadata: { version: "2" } }),
    ]);
    for (let i = 0; i < 20; i++) assert.equal((await request(port)).body, "good");
    assert.equal(strangers, 0);
  });

  test("may leave it to the chosen one of its clusters which part that is", async () => {
    await using harness = new Harness();
    const ports = [];
    for (const index of [0, 1, 2]) ports.push(await harness.app((_, res) => res.end(`${index}`)));
    const [a = 0, b = 0, c = 0] = ports;
    const { port } = await start(
      harness,
      {
        metadata: { version: "1", stage: "prod" },
        clusters: [
          { cluster: "app", weight: 0 },
          { cluster: "app", weight: 100, metadata: { version: "2" } },
        ],
      },
      [
        endpoint(a, { metadata: { version: "1", stage: "prod" } }),
        endpoint(b, { metadata: { version: "2", stage: "prod" } }),
        endpoint(c, { metadata: { version: "2", stage: "dev" } }),
      ],
      { subsets: { ...subsets, selectors: [{ keys: ["stage", "version"] }] } },
    );
    for (let i = 0; i < 10; i++) assert.equal((await request(port)).body, "1");
  });
});
