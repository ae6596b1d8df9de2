/**
 * What was seen of one service in a span of time, and its sums.
 *
 * Windows are joined by putting their parts side by side: everything that is fitted is a sum over pods and callers.
 *
 * Not here: where windows come from (server/forecast), what is fitted to them (fit.ts).
 */

import {
  countOf,
  quantileMs,
  type SparseHistogram,
  sum as sumOf,
} from "../../base/log-histogram.ts";
import type { ForecastLatency } from "../../model/forecast.ts";
import type { EdgeCounts, FoundCounts, ServingCounts } from "../../model/observation.ts";
import { totalFound } from "../traffic/sum.ts";

export interface ServiceWindow {
  /** Instants, ms since the epoch. */
  readonly from: number;
  readonly to: number;
  /** What the service's pods served. */
  readonly serving: readonly ServingCounts[];
  /** What its callers' sidecars saw; callers without one are counted by the service's own, under `outside`. */
  readonly edges: readonly EdgeCounts[];
}

/** Windows as one; at least one of them, in their order. */
export function joined(windows: readonly ServiceWindow[]): ServiceWindow {
  return {
    from: Math.min(...windows.map(({ from }) => from)),
    to: Math.max(...windows.map(({ to }) => to)),
    serving: windows.flatMap(({ serving }) => serving),
    edges: windows.flatMap(({ edges }) => edges),
  };
}

export function secondsOf(window: ServiceWindow): number {
  return (window.to - window.from) / 1000;
}

/** All pods together. */
export interface Served {
  readonly pods: number;
  readonly requests: number;
  readonly failed: number;
  readonly responses: SparseHistogram;
  readonly responseSumMs: number;
  readonly busyMs: number;
  readonly gaps: number;
  readonly gapSumMs: number;
  readonly gapSquareSumMs2: number;
  readonly serviceSumMs: number;
  readonly serviceSquareSumMs2: number;
  readonly found: readonly FoundCounts[];
}

export function servedIn({ serving }: ServiceWindow): Served {
  const sum = (of: (counts: ServingCounts) => number): number =>
    serving.reduce((total, counts) => total + of(counts), 0);
  return {
    pods: new Set(serving.filter(({ requests }) => requests > 0).map(({ pod }) => pod)).size,
    requests: sum(({ requests }) => requests),
    failed: sum(({ failed }) => failed),
    responses: sumOf(serving.map(({ responses }) => responses)),
    responseSumMs: sum(({ responseSumMs }) => responseSumMs),
    busyMs: sum(({ busyMs }) => busyMs),
    gaps: sum(({ gaps }) => gaps),
    gapSumMs: sum(({ gapSumMs }) => gapSumMs),
    gapSquareSumMs2: sum(({ gapSquareSumMs2 }) => gapSquareSumMs2),
    serviceSumMs: sum(({ serviceSumMs }) => serviceSumMs),
    serviceSquareSumMs2: sum(({ serviceSquareSumMs2 }) => serviceSquareSumMs2),
    found: totalFound(serving.map(({ found }) => found)),
  };
}

/** The latency that is predicted, as it was seen. */
export interface Seen {
  readonly by: "callers" | "service";
  readonly requests: number;
  readonly durations: SparseHistogram;
  readonly sumMs: number;
}

/** What callers saw; where none has a sidecar, what the service's own sidecars saw. */
export function seenIn(window: ServiceWindow): Seen {
  const edges = window.edges.filter(({ protocol }) => protocol !== "tcp");
  const durations = sumOf(edges.map((edge) => edge.durations));
  const requests = countOf(durations);
  if (requests > 0) {
    const sumMs = edges.reduce((total, { durationSumMs }) => total + durationSumMs, 0);
    const areAllOutside = edges.every(({ source }) => source === "outside");
    return { by: areAllOutside ? "service" : "callers", requests, durations, sumMs };
  }
  const served = servedIn(window);
  return {
    by: "service",
    requests: served.requests,
    durations: served.responses,
    sumMs: served.responseSumMs,
  };
}

/** Undefined where nothing was seen. */
export function latencyOf({ requests, durations, sumMs }: Seen): ForecastLatency | undefined {
  const at = (q: number): number | undefined => quantileMs(q, durations);
  const [p50Ms, p90Ms, p99Ms] = [at(0.5), at(0.9), at(0.99)];
  if (requests === 0 || p50Ms === undefined || p90Ms === undefined || p99Ms === undefined)
    return undefined;
  return { meanMs: sumMs / requests, p50Ms, p90Ms, p99Ms };
}
