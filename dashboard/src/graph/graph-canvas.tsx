/** The picture: nodes and edges where the layout puts them, to be moved about and zoomed. */

import {
  Background,
  Controls,
  type Edge,
  type Node,
  ReactFlow,
  type ReactFlowInstance,
} from "@xyflow/react";
import { type ReactElement, useEffect, useMemo, useRef, useState } from "react";
import type { GraphEdge, GraphNode, TrafficGraph } from "../../../src/model/observation.ts";
import { goTo } from "../route.ts";
import { useMedia } from "../ui/use-media.ts";
import { EdgeLine } from "./edge-line.tsx";
import { nodeSize, type Point } from "./measures.ts";
import { NodeCard } from "./node-card.tsx";
import { useLayout } from "./use-layout.ts";
import "@xyflow/react/dist/style.css";

export type CardNode = Node<
  { readonly node: GraphNode; readonly isSelected: boolean; readonly isDimmed: boolean },
  "card"
>;
export type LineEdge = Edge<
  {
    readonly edge: GraphEdge;
    readonly path: string;
    readonly label: Point;
    readonly isSelected: boolean;
    readonly isDimmed: boolean;
  },
  "line"
>;

const nodeTypes = { card: NodeCard };
const edgeTypes = { line: EdgeLine };
const fit = { padding: 0.06, maxZoom: 1.15, minZoom: 0.45 };

export function GraphCanvas({
  graph,
  selected,
}: {
  readonly graph: TrafficGraph;
  readonly selected: string | undefined;
}): ReactElement {
  const isNarrow = useMedia("(max-width: 760px)");
  const layout = useLayout(graph, isNarrow ? "DOWN" : "RIGHT");
  const [flow, setFlow] = useState<ReactFlowInstance<CardNode, LineEdge>>();
  const wasMoved = useRef(false);
  const near = useMemo(() => neighbourhood(graph, selected), [graph, selected]);

  const nodes = useMemo(
    () =>
      graph.nodes.flatMap((node): CardNode[] => {
        const position = layout?.nodes.get(node.id);
        if (position === undefined) return [];
        return [
          {
            id: node.id,
            type: "card",
            position: { ...position },
            ...nodeSize,
            data: {
              node,
              isSelected: node.id === selected,
              isDimmed: near !== undefined && !near.has(node.id),
            },
          },
        ];
      }),
    [graph, layout, selected, near],
  );
  const edges = useMemo(
    () =>
      graph.edges.flatMap((edge): LineEdge[] => {
        const line = layout?.edges.get(edge.id);
        if (line === undefined) return [];
        return [
          {
            id: edge.id,
            type: "line",
            source: edge.source,
            target: edge.destination,
            data: {
              edge,
              ...line,
              isSelected: edge.id === selected,
              isDimmed: near !== undefined && !near.has(edge.id),
            },
          },
        ];
      }),
    [graph, layout, selected, near],
  );

  // Whoever has moved the picture is not moved away again.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another layout is what asks for it
  useEffect(() => {
    if (flow !== undefined && !wasMoved.current) void flow.fitView(fit);
  }, [flow, layout?.key]);

  return (
    <section
      className="canvas"
      aria-label="Service graph"
      data-layout={layout?.key.startsWith("first") ? "first" : "final"}
    >
      <ReactFlow<CardNode, LineEdge>
        nodes={nodes}
        edges={edges}
        nodeTypes={nodeTypes}
        edgeTypes={edgeTypes}
        onInit={setFlow}
        onMoveStart={(event) => {
          if (event !== null) wasMoved.current = true;
        }}
        onPaneClick={() => goTo({ page: "graph" })}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        zoomOnDoubleClick={false}
        preventScrolling={!isNarrow}
        minZoom={0.2}
        maxZoom={2}
        fitView
        fitViewOptions={fit}
      >
        <Background gap={24} size={1} />
        <Controls
          showInteractive={false}
          fitViewOptions={fit}
          onFitView={() => {
            wasMoved.current = false;
          }}
        />
      </ReactFlow>
    </section>
  );
}

/** Ids of what is selected and what touches it; undefined where nothing is. */
function neighbourhood(
  graph: TrafficGraph,
  selected: string | undefined,
): ReadonlySet<string> | undefined {
  if (selected === undefined) return undefined;
  const touching = graph.edges.filter(({ id, source, destination }) =>
    [id, source, destination].includes(selected),
  );
  const near = new Set(
    touching.flatMap(({ id, source, destination }) => [id, source, destination]),
  );
  if (graph.nodes.some(({ id }) => id === selected)) near.add(selected);
  return near.size === 0 ? undefined : near;
}
