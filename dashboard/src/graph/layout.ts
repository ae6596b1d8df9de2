/**
 * Where nodes and edges stand: ELK's layered layout, computed in a worker so that the page never waits for it.
 *
 * It depends on the topology alone, never on rates, so numbers change and nothing moves. When the topology does change,
 * ELK is told where everything was and keeps that order where it can. Labels have one size, reserved in the layout:
 * they cover neither nodes nor each other.
 */

import type { ELK as Elk, ElkExtendedEdge, ElkNode } from "elkjs/lib/elk-api.js";
import ElkApi from "elkjs/lib/elk-api.js";
import {
  type Direction,
  keyOf,
  type Layout,
  labelSize,
  nodeSize,
  type Point,
  type Topology,
} from "./measures.ts";
import { layoutWorker } from "./worker.ts";

const cornerRadius = 10;
/** On the line itself, in the middle of its way. */
const labelOptions = { "elk.edgeLabels.placement": "CENTER", "elk.edgeLabels.inline": "true" };

let elk: Elk | undefined;

function engine(): Elk {
  elk ??= new ElkApi({ workerFactory: layoutWorker });
  return elk;
}

export async function layOut(
  topology: Topology,
  direction: Direction,
  previous: Layout | undefined,
): Promise<Layout> {
  const placed = await engine().layout(elkGraph(topology, direction, previous));
  const nodes = new Map<string, Point>();
  for (const { id, x = 0, y = 0 } of placed.children ?? []) nodes.set(id, { x, y });
  const edges = new Map<string, { path: string; label: Point }>();
  for (const edge of placed.edges ?? []) {
    const points = pointsOf(edge);
    const label = edge.labels?.[0];
    edges.set(edge.id, {
      path: roundedPath(points),
      label: {
        x: (label?.x ?? points[0]?.x ?? 0) + labelSize.width / 2,
        y: (label?.y ?? points[0]?.y ?? 0) + labelSize.height / 2,
      },
    });
  }
  const { width = 0, height = 0 } = placed;
  return { key: keyOf(topology, direction), nodes, edges, width, height };
}

function elkGraph(topology: Topology, direction: Direction, previous: Layout | undefined): ElkNode {
  const keepsOrder = previous !== undefined && topology.nodes.some((id) => previous.nodes.has(id));
  return {
    id: "mesh",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": direction,
      "elk.edgeRouting": "ORTHOGONAL",
      "elk.layered.spacing.nodeNodeBetweenLayers": "20",
      "elk.layered.spacing.edgeNodeBetweenLayers": "14",
      "elk.spacing.nodeNode": "30",
      "elk.spacing.edgeNode": "22",
      "elk.spacing.edgeEdge": "16",
      "elk.spacing.edgeLabel": "4",
      "elk.spacing.componentComponent": "40",
      "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
      ...(keepsOrder && {
        "elk.layered.crossingMinimization.semiInteractive": "true",
        "elk.layered.cycleBreaking.strategy": "INTERACTIVE",
      }),
    },
    children: topology.nodes.map((id) => {
      const was = keepsOrder ? previous?.nodes.get(id) : undefined;
      return {
        id,
        ...nodeSize,
        ...was,
        ...(was && { layoutOptions: { "elk.position": `(${was.x},${was.y})` } }),
      };
    }),
    edges: topology.edges.map(({ id, source, destination }) => ({
      id,
      sources: [source],
      targets: [destination],
      labels: [{ text: id, ...labelSize, layoutOptions: labelOptions }],
    })),
  };
}

function pointsOf(edge: ElkExtendedEdge): readonly Point[] {
  return (edge.sections ?? []).flatMap(({ startPoint, bendPoints = [], endPoint }) => [
    startPoint,
    ...bendPoints,
    endPoint,
  ]);
}

/** A line through the points whose corners are rounded, as far as the lines beside them are long enough. */
function roundedPath(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return "";
  let path = `M${first.x} ${first.y}`;
  rest.forEach((point, index) => {
    const before = points[index];
    const after = rest[index + 1];
    if (before === undefined || after === undefined) {
      path += `L${point.x} ${point.y}`;
      return;
    }
    const inward = towards(point, before);
    const outward = towards(point, after);
    path += `L${inward.x} ${inward.y}Q${point.x} ${point.y} ${outward.x} ${outward.y}`;
  });
  return path;
}

function towards(from: Point, to: Point): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  if (length === 0) return from;
  const part = Math.min(cornerRadius, length / 2) / length;
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
}
