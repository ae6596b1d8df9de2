import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DropCounts, EdgeCounts } from "../../model/observation.ts";
import { worldOf } from "../registry/world.ts";
import { graphOf } from "./graph.ts";
import type { TrafficWindow } from "./history.ts";
import { drop, edge } from "./testdata.ts";

const world = worldOf([
  pod("web-1", "web", "web"),
  pod("reviews-1", "reviews-v1", "reviews"),
  pod("reviews-2", "reviews-v2", "reviews"),
  pod("visitor", "visitor", "visitor"),
  service("web"),
  service("reviews"),
  slice("web", "web-1"),
  slice("reviews", "reviews-1", "reviews-2"),
]);

function pod(name: string, owner: string, app: string) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      namespace: "shop",
      name,
      labels: { app },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "Deployment", name: owner, uid: owner, controller: true },
      ],
    },
    spec: { containers: [], nodeName: "node-1" },
    status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
  };
}

function service(name: string) {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "shop", name },
    spec: { clusterIP: "10.96.0.9", ports: [{ port: 80 }] },
  };
}

function slice(name: string, ...pods: readonly string[]) {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      namespace: "shop",
      name: `${name}-1`,
      labels: { "kubernetes.io/service-name": name },
    },
    addressType: "IPv4",
    ports: [{ port: 80 }],
    endpoints: pods.map((each, i) => ({
      addresses: [`10.244.0.${name.length * 10 + i}`],
      conditions: { ready: true },
      targetRef: { kind: "Pod", namespace: "shop", name: each },
    })),
  };
}

function window(edges: readonly EdgeCounts[], drops: readonly DropCounts[] = []): TrafficWindow {
  const over = <T>(counts: T) => ({ counts, spanMs: 10_000 });
  return { at: 0, seconds: 10, serving: [], edges: edges.map(over), drops: drops.map(over) };
}

describe("the traffic graph", () => {
  test("makes one node of a Service and the workloads behind it", () => {
    const graph = graphOf(
      world,
      window([
        edge("shop/visitor", "shop/web", 100),
        edge("shop/web", "shop/reviews", 60),
        edge("shop/web", "shop/reviews", 20, { version: "v2" }),
        edge("shop/reviews-v1", "shop/ratings", 5),
        edge("shop/reviews-v2", "shop/ratings", 5),
        edge("shop/web", "PassthroughCluster", 1, { version: "-" }),
      ]),
    );
    assert.deepEqual(
      graph.nodes.map(({ id, kind, pods, readyPods }) => [id, kind, pods, readyPods]),
      [
        ["PassthroughCluster", "outside", 0, 0],
        ["shop/ratings", "outside", 0, 0],
        ["shop/reviews", "service", 2, 2],
        ["shop/visitor", "workload", 1, 1],
        ["shop/web", "service", 1, 1],
      ],
    );
    assert.deepEqual(
      graph.edges.map((each) => [each.source, each.destination, each.signals.requestsPerSecond]),
      [
        ["shop/reviews", "shop/ratings", 1],
        ["shop/visitor", "shop/web", 10],
        ["shop/web", "PassthroughCluster", 0.1],
        ["shop/web", "shop/reviews", 8],
      ],
    );
    assert.deepEqual(graph.edges.at(-1)?.versions, { v1: 0.75, v2: 0.25 });
    assert.equal(graph.nodes.at(-1)?.signals.requestsPerSecond, 10);
  });

  test("shows what a policy refuses on the edge between the two, or as an edge of its own", () => {
    const { edges } = graphOf(
      world,
      window(
        [
          edge("shop/web", "shop/reviews", 10, { codes: { "503": 10 }, version: "-" }),
          edge("shop/web", "shop/web", 10),
        ],
        [drop("shop/web-1", "shop/reviews-2", 30), drop("shop/visitor", "192.0.2.7", 10)],
      ),
    );
    assert.deepEqual(
      edges.map((each) => [each.id, each.health, each.dropsPerSecond]),
      [
        ["shop/visitor 192.0.2.7 tcp", "refused", 1],
        ["shop/web shop/reviews http", "refused", 3],
        ["shop/web shop/web http", "healthy", 0],
      ],
    );
    assert.match(edges[0]?.dropReason ?? "", /shop\/deny-all/);
  });

  test("calls an edge what people would call it", () => {
    const health = (codes: Record<string, number>) =>
      graphOf(world, window([edge("shop/web", "shop/reviews", 0, { codes })])).edges[0]?.health;
    assert.equal(health({ "200": 1_000, "503": 1 }), "healthy");
    assert.equal(health({ "200": 95, "503": 5 }), "degraded");
    assert.equal(health({ "200": 50, "0": 50 }), "failing");
    assert.equal(health({ "404": 100 }), "healthy");
    assert.equal(health({}), "idle");
  });

  test("says nothing of what is not known", () => {
    const { nodes, edges } = graphOf(world, window([]));
    assert.deepEqual(edges, []);
    const web = nodes.find(({ id }) => id === "shop/web");
    assert.deepEqual(web?.signals, {
      requestsPerSecond: 0,
      requests: 0,
      codesPerSecond: {},
      retriesPerSecond: 0,
    });
    assert.equal(web?.health, "idle");
  });
});
