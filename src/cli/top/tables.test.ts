import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { GoldenSignals, GraphEdge } from "../../model/observation.ts";
import { edgesTable, podsTable, servicesTable } from "./tables.ts";

function signals(requestsPerSecond: number, more: Partial<GoldenSignals> = {}): GoldenSignals {
  return { requestsPerSecond, codesPerSecond: {}, retriesPerSecond: 0, ...more };
}

const edge: GraphEdge = {
  id: "shop/web shop/catalogue http",
  source: "shop/web",
  destination: "shop/catalogue",
  protocol: "http",
  signals: signals(1_000, { successShare: 0.9996, p50Ms: 1.234, p99Ms: 12.34 }),
  health: "healthy",
  mtls: true,
  versions: { v2: 0.1, v1: 0.9 },
  dropsPerSecond: 0,
};

describe("the table of edges", () => {
  test("lines up, rounds success down and says what is refused", () => {
    const lines = edgesTable([
      edge,
      {
        ...edge,
        source: "shop/cart",
        destination: "shop/database",
        protocol: "tcp",
        signals: signals(1, { successShare: 1 }),
        versions: { v1: 1 },
      },
      {
        ...edge,
        destination: "shop/payments",
        signals: signals(0),
        mtls: false,
        versions: {},
        dropsPerSecond: 2,
        dropReason: "isolated by NetworkPolicy shop/deny",
      },
      { ...edge, destination: "shop/idle", signals: signals(0) },
    ]);
    assert.deepEqual(lines, [
      "SOURCE     DESTINATION             RATE  SUCCESS     P50    P99  VERSIONS       MTLS",
      "shop/web   shop/catalogue  1000.0 req/s    99.9%  1.2 ms  12 ms  v1 90% v2 10%  yes",
      "shop/cart  shop/database     1.0 conn/s   100.0%       -      -  v1             yes",
      "shop/web   shop/payments              -        -       -      -  -              no    2.0 packets/s refused: isolated by NetworkPolicy shop/deny",
    ]);
  });

  test("says so when there is nothing", () => {
    assert.deepEqual(edgesTable([]), ["no requests"]);
  });
});

describe("the tables of services and pods", () => {
  test("count ready pods, and connections where nothing else comes", () => {
    const node = {
      kind: "service",
      namespace: "shop",
      signals: signals(5),
      health: "healthy",
      pods: 2,
      readyPods: 1,
      hasSidecar: true,
    } as const;
    const lines = servicesTable({
      at: 0,
      seconds: 10,
      nodes: [
        { ...node, id: "shop/catalogue", name: "catalogue" },
        { ...node, id: "shop/database", name: "database" },
        { ...node, id: "outside", name: "outside", kind: "outside", signals: signals(0) },
      ],
      edges: [edge, { ...edge, destination: "shop/database", protocol: "tcp" }],
    });
    assert.deepEqual(lines, [
      "NAME            PODS        RATE  SUCCESS  P50  P99  HEALTH",
      "shop/catalogue   1/2   5.0 req/s        -    -    -  healthy",
      "shop/database    1/2  5.0 conn/s        -    -    -  healthy",
      "outside            -           -        -    -    -  healthy",
    ]);
  });

  test("show how busy a pod is, and which has no sidecar", () => {
    const pod = { services: [], isReady: true, hasSidecar: true, node: "node-1" };
    const lines = podsTable({
      at: 0,
      seconds: 10,
      pods: [
        { ...pod, pod: "shop/web-1", signals: signals(8), busyShare: 0.25, inFlight: 0.5 },
        { ...pod, pod: "shop/job", signals: signals(0), hasSidecar: false },
      ],
    });
    assert.deepEqual(lines, [
      "POD         NODE         RATE  SUCCESS  P50  P99   BUSY  IN FLIGHT",
      "shop/web-1  node-1  8.0 req/s        -    -    -  25.0%       0.50",
      "shop/job    node-1          -        -    -    -      -          -  no sidecar",
    ]);
  });
});
