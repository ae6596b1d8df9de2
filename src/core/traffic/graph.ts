/**
 * The traffic graph: what all nodes reported, as Services and workloads with edges between them.
 *
 * Dropped packets belong to the edge between the same two; where nothing else is known between them, they are an edge
 * of their own, so that what a policy forbids is seen beside what flows.
 */

import type {
  DropCounts,
  EdgeCounts,
  GraphEdge,
  GraphNode,
  TrafficGraph,
} from "../../model/observation.ts";
import { compareText, type World } from "../registry/world.ts";
import type { TrafficWindow } from "./history.ts";
import { hasSidecars, type Place, type Places, placesOf, readyPods } from "./places.ts";
import { edgeSignals, healthOf, type Measured, noSignals, perSecond } from "./signals.ts";

export function graphOf(world: World, window: TrafficWindow): TrafficGraph {
  const places = placesOf(world);
  const edges = edgesOf(places, window);
  const ids = new Set(places.all().map(({ id }) => id));
  for (const { source, destination } of edges) ids.add(source).add(destination);
  const received = Map.groupBy(window.edges, ({ counts }) => counts.destination);
  return {
    at: window.at,
    seconds: window.seconds,
    nodes: [...ids]
      .sort(compareText)
      .map((id) => nodeOf(places.at(id), received.get(id) ?? [], edges)),
    edges,
  };
}

/** Edges between nodes of the graph, sorted by their ends. */
export function edgesOf(places: Places, { edges, drops }: TrafficWindow): readonly GraphEdge[] {
  const found = new Map<string, Group>();
  for (const measured of edges) {
    const { source, destination, protocol } = measured.counts;
    const ends = { source: places.ofWorkload(source), destination, protocol };
    groupFor(found, ends).edges.push(measured);
  }
  for (const measured of drops) {
    const source = places.ofPod(measured.counts.source);
    const destination = places.ofPod(measured.counts.destination);
    const known = (["http", "grpc", "tcp"] as const)
      .map((protocol) => found.get(keyOf({ source, destination, protocol })))
      .find((group) => group !== undefined);
    (known ?? groupFor(found, { source, destination, protocol: "tcp" })).drops.push(measured);
  }
  return [...found.values()]
    .map(edgeOf)
    .sort((a, b) => compareText(a.source, b.source) || compareText(a.id, b.id));
}

type Ends = Pick<GraphEdge, "source" | "destination" | "protocol">;

interface Group {
  readonly ends: Ends;
  readonly edges: Measured<EdgeCounts>[];
  readonly drops: Measured<DropCounts>[];
}

function edgeOf({ ends, edges, drops }: Group): GraphEdge {
  const signals = edgeSignals(edges);
  const dropsPerSecond = drops.reduce(
    (total, { counts, spanMs }) => total + perSecond(counts.packets, spanMs),
    0,
  );
  const [worst] = drops.toSorted((a, b) => b.counts.packets - a.counts.packets);
  const reached = edges.flatMap(({ counts }) => counts.mtls ?? []);
  return {
    id: keyOf(ends),
    ...ends,
    signals,
    health: healthOf(signals, dropsPerSecond),
    // One request in the clear is enough to say no.
    ...(reached.length === 0 ? {} : { mtls: reached.every((each) => each) }),
    versions: versionShares(edges),
    dropsPerSecond,
    ...(worst === undefined ? {} : { dropReason: worst.counts.reason }),
  };
}

function versionShares(edges: readonly Measured<EdgeCounts>[]): Readonly<Record<string, number>> {
  const rates: Record<string, number> = {};
  let all = 0;
  for (const { counts, spanMs } of edges) {
    if (counts.mtls === undefined) continue; // nobody was reached
    const count = Object.values(counts.codes).reduce((total, each) => total + each, 0);
    const rate = perSecond(count, spanMs);
    rates[counts.version] = (rates[counts.version] ?? 0) + rate;
    all += rate;
  }
  return Object.fromEntries(
    Object.entries(rates)
      .sort(([a], [b]) => compareText(a, b))
      .map(([version, rate]) => [version, rate / all]),
  );
}

/** A node's signals are those of what it is asked, as its callers see it. */
function nodeOf(
  place: Place,
  received: readonly Measured<EdgeCounts>[],
  edges: readonly GraphEdge[],
): GraphNode {
  const slash = place.id.indexOf("/");
  const signals = received.length === 0 ? noSignals : edgeSignals(received);
  const isRefused = edges.some(
    ({ destination, health }) => destination === place.id && health === "refused",
  );
  return {
    id: place.id,
    kind: place.kind,
    namespace: slash < 0 ? "" : place.id.slice(0, slash),
    name: place.id.slice(slash + 1),
    signals,
    health: isRefused && signals.requestsPerSecond === 0 ? "refused" : healthOf(signals, 0),
    pods: place.pods.length,
    readyPods: readyPods(place),
    hasSidecar: hasSidecars(place),
  };
}

function groupFor(groups: Map<string, Group>, ends: Ends): Group {
  const key = keyOf(ends);
  let group = groups.get(key);
  if (group === undefined) {
    group = { ends, edges: [], drops: [] };
    groups.set(key, group);
  }
  return group;
}

function keyOf({ source, destination, protocol }: Ends): string {
  return `${source} ${destination} ${protocol}`;
}
