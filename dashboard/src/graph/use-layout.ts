/** The layout of a graph, computed again only when its topology changes; until that is done the last one stands. */

import { useEffect, useMemo, useRef, useState } from "react";
import type { TrafficGraph } from "../../../src/model/observation.ts";
import { firstPlacement } from "./first-placement.ts";
import { layOut } from "./layout.ts";
import { type Direction, keyOf, type Layout, type Topology } from "./measures.ts";

/** Of the last few topologies, for who comes back to the page. */
const kept = new Map<string, Layout>();
const mostKept = 8;

export function useLayout(
  graph: TrafficGraph | undefined,
  direction: Direction,
): Layout | undefined {
  const topology = useMemo(() => topologyOf(graph), [graph]);
  const key = keyOf(topology, direction);
  const [layout, setLayout] = useState<Layout | undefined>(() => kept.get(key));
  const latest = useRef(key);
  latest.current = key;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the topology
  useEffect(() => {
    if (topology.nodes.length === 0 || layout?.key === key) return;
    const known = kept.get(key);
    if (known !== undefined) {
      setLayout(known);
      return;
    }
    void layOut(topology, direction, layout).then((made) => {
      kept.set(made.key, made);
      for (const oldest of kept.keys()) {
        if (kept.size <= mostKept) break;
        kept.delete(oldest);
      }
      if (latest.current === made.key) setLayout(made);
    });
  }, [key]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the topology
  const first = useMemo(() => firstPlacement(topology, direction), [key]);
  return layout ?? (topology.nodes.length === 0 ? undefined : first);
}

function topologyOf(graph: TrafficGraph | undefined): Topology {
  const nodes = graph?.nodes.map(({ id }) => id) ?? [];
  const there = new Set(nodes);
  return {
    nodes,
    edges: (graph?.edges ?? [])
      .filter(({ source, destination }) => there.has(source) && there.has(destination))
      .map(({ id, source, destination }) => ({ id, source, destination })),
  };
}
