/**
 * Keeps in the graph what has just gone quiet.
 *
 * The server's graph holds what talked within its span. A caller that pauses would leave the picture and come back,
 * and everything would move each time; so an edge that was seen stays for some minutes, idle, and nodes with it.
 */

import type { GraphEdge, GraphNode, TrafficGraph } from "../../../src/model/observation.ts";

const quietMs = 5 * 60_000;
const mostKept = 200; // of a mesh whose names keep changing, not everything is kept

/** When each edge and node that is kept was last told of by the server, by the graph that keeps it. */
const lastSeen = new WeakMap<TrafficGraph, ReadonlyMap<string, number>>();

export function withIdle(previous: TrafficGraph | undefined, next: TrafficGraph): TrafficGraph {
  const seen = new Map<string, number>();
  for (const { id } of [...next.edges, ...next.nodes]) seen.set(id, next.at);
  const before = previous === undefined ? undefined : lastSeen.get(previous);
  const isKept = ({ id }: { readonly id: string }): boolean => {
    const at = before?.get(id);
    if (seen.has(id) || at === undefined || next.at - at > quietMs) return false;
    if (seen.size > next.edges.length + next.nodes.length + mostKept) return false;
    seen.set(id, at);
    return true;
  };
  const nodes = [...next.nodes, ...(previous?.nodes.filter(isKept).map(idleNode) ?? [])];
  const there = new Set(nodes.map(({ id }) => id));
  const edges = [
    ...next.edges,
    ...(previous?.edges
      .filter((edge) => there.has(edge.source) && there.has(edge.destination) && isKept(edge))
      .map(idleEdge) ?? []),
  ];
  // In one order whatever the server's is: what does not change does not move.
  const graph = { ...next, nodes: nodes.sort(byId), edges: edges.sort(byId) };
  lastSeen.set(graph, seen);
  return graph;
}

const noSignals = { requestsPerSecond: 0, codesPerSecond: {}, retriesPerSecond: 0 };

function idleEdge(edge: GraphEdge): GraphEdge {
  if (edge.health === "idle") return edge;
  const { dropReason: _, ...rest } = edge;
  return { ...rest, signals: noSignals, health: "idle", dropsPerSecond: 0 };
}

function idleNode(node: GraphNode): GraphNode {
  return node.health === "idle" ? node : { ...node, signals: noSignals, health: "idle" };
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
