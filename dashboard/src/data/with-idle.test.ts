import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { GraphEdge, GraphNode, TrafficGraph } from "../../../src/model/observation.ts";
import { withIdle } from "./with-idle.ts";

describe("what goes quiet", () => {
  const before = withIdle(undefined, graph(0, ["a", "b"], [edge("a", "b")]));

  test("stays, idle, and in its place", () => {
    const after = withIdle(before, graph(60_000, ["a", "b", "c"], [edge("b", "c")]));
    assert.deepEqual(
      after.edges.map(({ id, health }) => [id, health]),
      [
        ["a b http", "idle"],
        ["b c http", "healthy"],
      ],
    );
    assert.equal(after.edges[0]?.signals.requestsPerSecond, 0);
  });

  test("is gone after some minutes, and where its end is gone", () => {
    assert.deepEqual(withIdle(before, graph(600_000, ["a", "b"], [])).edges, []);
    const later = withIdle(before, graph(60_000, ["b"], []));
    assert.deepEqual(
      later.nodes.map(({ id }) => id),
      ["a", "b"],
    );
  });
});

function graph(at: number, nodes: readonly string[], edges: readonly GraphEdge[]): TrafficGraph {
  return { at, seconds: 10, nodes: nodes.map(node), edges };
}

function node(id: string): GraphNode {
  return {
    id,
    kind: "service",
    namespace: "",
    name: id,
    signals: { requestsPerSecond: 1, codesPerSecond: {}, retriesPerSecond: 0 },
    health: "healthy",
    pods: 1,
    readyPods: 1,
    hasSidecar: true,
  };
}

function edge(source: string, destination: string): GraphEdge {
  return {
    id: `${source} ${destination} http`,
    source,
    destination,
    protocol: "http",
    signals: { requestsPerSecond: 1, codesPerSecond: { 200: 1 }, retriesPerSecond: 0 },
    health: "healthy",
    versions: {},
    dropsPerSecond: 0,
  };
}
