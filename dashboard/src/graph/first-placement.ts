/**
 * A layout that is there at once, for the moment until ELK's worker has started: columns by distance from the callers,
 * lines straight across. It does not avoid crossings; that is what is being waited for.
 */

import {
  type Direction,
  keyOf,
  type Layout,
  labelSize,
  nodeSize,
  type Point,
  type Topology,
} from "./measures.ts";

const gap = 30;
const mostColumns = 12; // bounds the search in graphs with many ways through them

export function firstPlacement(topology: Topology, direction: Direction): Layout {
  const isDown = direction === "DOWN";
  const along = isDown
    ? nodeSize.height + labelSize.height + gap
    : nodeSize.width + labelSize.width + gap;
  const across = isDown ? nodeSize.width + gap : nodeSize.height + gap;
  const columns = [...Map.groupBy(topology.nodes, depthsOf(topology))].sort(([a], [b]) => a - b);
  const tallest = Math.max(0, ...columns.map(([, ids]) => ids.length));
  const nodes = new Map<string, Point>();
  for (const [depth, ids] of columns) {
    ids.forEach((id, index) => {
      const [main, cross] = [depth * along, (index + (tallest - ids.length) / 2) * across];
      nodes.set(id, isDown ? { x: cross, y: main } : { x: main, y: cross });
    });
  }
  const edges = new Map<string, { path: string; label: Point }>();
  for (const { id, source, destination } of topology.edges) {
    const [from, to] = [nodes.get(source), nodes.get(destination)];
    if (from === undefined || to === undefined) continue;
    const [a, b] = [middle(from), middle(to)];
    edges.set(id, {
      path: `M${a.x} ${a.y}L${b.x} ${b.y}`,
      label: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
    });
  }
  return {
    key: `first ${keyOf(topology, direction)}`,
    nodes,
    edges,
    width: columns.length * along,
    height: tallest * across,
  };
}

/** Longest way from a caller that nobody calls; what only a cycle leads to counts from where it was first met. */
function depthsOf({ nodes, edges }: Topology): (id: string) => number {
  const callees = Map.groupBy(edges, ({ source }) => source);
  const depths = new Map<string, number>();
  const visit = (id: string, depth: number, trail: ReadonlySet<string>): void => {
    if (depth >= mostColumns || trail.has(id) || (depths.get(id) ?? -1) >= depth) return;
    depths.set(id, depth);
    const further = new Set(trail).add(id);
    for (const { destination } of callees.get(id) ?? []) visit(destination, depth + 1, further);
  };
  const called = new Set(edges.map(({ destination }) => destination));
  for (const id of nodes) if (!called.has(id)) visit(id, 0, new Set());
  for (const id of nodes) if (!depths.has(id)) visit(id, 0, new Set());
  return (id) => depths.get(id) ?? 0;
}

function middle({ x, y }: Point): Point {
  return { x: x + nodeSize.width / 2, y: y + nodeSize.height / 2 };
}
