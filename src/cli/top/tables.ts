/** Views of live traffic as tables: pure, so that a test can read what a person will. */

import type { GoldenSignals, GraphEdge, PodsView, TrafficGraph } from "../../model/observation.ts";
import { milliseconds, percent, renderColumns } from "../columns.ts";

export function edgesTable(edges: readonly GraphEdge[]): string[] {
  const seen = edges.filter(
    ({ signals, dropsPerSecond }) => signals.requestsPerSecond > 0 || dropsPerSecond > 0,
  );
  if (seen.length === 0) return ["no requests"];
  const titles = ["SOURCE", "DESTINATION", "RATE", "SUCCESS", "P50", "P99", "VERSIONS", "MTLS"];
  const rows = seen.map((edge) => [
    edge.source,
    edge.destination,
    rate(edge.signals, edge.protocol === "tcp" ? "conn" : "req"),
    ...quality(edge.signals),
    versions(edge.versions),
    edge.mtls === undefined ? "-" : edge.mtls ? "yes" : "no",
    refusal(edge),
  ]);
  return renderColumns([titles, ...rows], new Set([2, 3, 4, 5]));
}

/** Services and the workloads that only call; without them where `namespace` is another. */
export function servicesTable({ nodes, edges }: TrafficGraph): string[] {
  if (nodes.length === 0) return ["no services"];
  const onlyTcp = new Set(
    nodes.flatMap(({ id }) => {
      const towards = edges.filter(({ destination }) => destination === id);
      return towards.length > 0 && towards.every(({ protocol }) => protocol === "tcp") ? id : [];
    }),
  );
  const titles = ["NAME", "PODS", "RATE", "SUCCESS", "P50", "P99", "HEALTH"];
  const rows = nodes.map((node) => [
    node.id,
    node.kind === "outside" ? "-" : `${node.readyPods}/${node.pods}`,
    rate(node.signals, onlyTcp.has(node.id) ? "conn" : "req"),
    ...quality(node.signals),
    node.health,
  ]);
  return renderColumns([titles, ...rows], new Set([1, 2, 3, 4, 5]));
}

export function podsTable({ pods }: PodsView): string[] {
  if (pods.length === 0) return ["no pods"];
  const titles = ["POD", "NODE", "RATE", "SUCCESS", "P50", "P99", "BUSY", "IN FLIGHT", ""];
  const rows = pods.map((pod) => [
    pod.pod,
    pod.node,
    rate(pod.signals, "req"),
    ...quality(pod.signals),
    pod.busyShare === undefined ? "-" : percent(pod.busyShare),
    pod.inFlight === undefined ? "-" : pod.inFlight.toFixed(2),
    pod.isReady ? (pod.hasSidecar ? "" : "no sidecar") : "not ready",
  ]);
  return renderColumns([titles, ...rows], new Set([2, 3, 4, 5, 6, 7]));
}

function rate({ requestsPerSecond }: GoldenSignals, unit: string): string {
  if (requestsPerSecond === 0) return "-";
  const digits = requestsPerSecond < 0.1 ? 2 : 1;
  return `${requestsPerSecond.toFixed(digits)} ${unit}/s`;
}

function quality({ successShare, p50Ms, p99Ms }: GoldenSignals): string[] {
  return [
    successShare === undefined ? "-" : percent(successShare),
    milliseconds(p50Ms),
    milliseconds(p99Ms),
  ];
}

/** `v1 90% v2 10%`, in the versions' own order, so that a split does not jump about. */
function versions(shares: Readonly<Record<string, number>>): string {
  const named = Object.entries(shares).sort(([a], [b]) => (a < b ? -1 : 1));
  const [only] = named;
  if (only === undefined) return "-";
  if (named.length === 1) return only[0];
  return named.map(([version, share]) => `${version} ${Math.round(100 * share)}%`).join(" ");
}

function refusal({ dropsPerSecond, dropReason }: GraphEdge): string {
  if (dropsPerSecond === 0) return "";
  return `${dropsPerSecond.toFixed(1)} packets/s refused: ${dropReason ?? "no reason known"}`;
}
