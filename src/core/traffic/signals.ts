/**
 * Counts over a time as the golden signals: rate, success, latency; and what health they add up to.
 *
 * Each count carries the time in which it was taken, so what one node missed (its agent was restarted) lowers no rate:
 * rates of several nodes are added, not their counts.
 */

import { countOf, quantileMs, type SparseHistogram, sum } from "../../base/log-histogram.ts";
import type {
  EdgeCounts,
  EdgeHealth,
  GoldenSignals,
  Latency,
  ServingCounts,
} from "../../model/observation.ts";

/** What was counted, and in how much time. */
export interface Measured<T> {
  readonly counts: T;
  /** Time that the node's reports cover, ms. */
  readonly spanMs: number;
}

/** Signals of requests, or of connections for edges that are not HTTP. */
export function edgeSignals(measured: readonly Measured<EdgeCounts>[]): GoldenSignals {
  const codes: Record<string, number> = {};
  let retries = 0;
  let requests = 0;
  for (const { counts, spanMs } of measured) {
    for (const [code, count] of Object.entries(counts.codes)) {
      requests += count;
      codes[code] = (codes[code] ?? 0) + perSecond(count, spanMs);
    }
    retries += perSecond(counts.retries, spanMs);
  }
  const rate = Object.values(codes).reduce((total, each) => total + each, 0);
  const failed = Object.entries(codes).reduce(
    (total, [code, each]) => total + (hasFailed(code) ? each : 0),
    0,
  );
  const durations = sum(measured.map(({ counts }) => counts.durations));
  const sumMs = measured.reduce((total, { counts }) => total + counts.durationSumMs, 0);
  return {
    requestsPerSecond: rate,
    requests,
    ...(rate === 0 ? {} : { successShare: 1 - failed / rate }),
    codesPerSecond: codes,
    retriesPerSecond: retries,
    ...latencyOf(durations, sumMs),
  };
}

/** Signals of what a pod served, as its own sidecar saw it. */
export function servingSignals(measured: readonly Measured<ServingCounts>[]): GoldenSignals {
  let rate = 0;
  let failed = 0;
  let requests = 0;
  for (const { counts, spanMs } of measured) {
    requests += counts.requests;
    rate += perSecond(counts.requests, spanMs);
    failed += perSecond(counts.failed, spanMs);
  }
  const responses = sum(measured.map(({ counts }) => counts.responses));
  const sumMs = measured.reduce((total, { counts }) => total + counts.responseSumMs, 0);
  return {
    requestsPerSecond: rate,
    requests,
    ...(rate === 0 ? {} : { successShare: 1 - failed / rate }),
    codesPerSecond: {},
    retriesPerSecond: 0,
    ...latencyOf(responses, sumMs),
  };
}

export const noSignals: GoldenSignals = edgeSignals([]);

/** A share of failures that people would call an outage, and one that they would look into. */
const failingBelow = 0.9;
const degradedBelow = 0.995;

/** `refused` where policy dropped packets and nothing came through. */
export function healthOf(signals: GoldenSignals, dropsPerSecond: number): EdgeHealth {
  const { requestsPerSecond, successShare = 1 } = signals;
  if (dropsPerSecond > 0 && (requestsPerSecond === 0 || successShare === 0)) return "refused";
  if (requestsPerSecond === 0) return "idle";
  if (successShare < failingBelow) return "failing";
  return successShare < degradedBelow || dropsPerSecond > 0 ? "degraded" : "healthy";
}

/**
 * Answered with 5xx, not at all, or nobody to connect to; or refused for coming too often, which is no answer either.
 */
export function hasFailed(code: string): boolean {
  return code === "0" || code === "429" || code.startsWith("5");
}

export function perSecond(count: number, spanMs: number): number {
  return spanMs > 0 ? (count * 1000) / spanMs : 0;
}

function latencyOf(histogram: SparseHistogram, sumMs: number): Latency {
  const count = countOf(histogram);
  const [p50Ms, p90Ms, p99Ms] = [0.5, 0.9, 0.99].map((q) => quantileMs(q, histogram));
  if (p50Ms === undefined || p90Ms === undefined || p99Ms === undefined) return {};
  return { p50Ms, p90Ms, p99Ms, meanMs: sumMs / count };
}
