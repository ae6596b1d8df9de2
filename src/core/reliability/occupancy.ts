/**
 * How many of something are in use at a time: connections in a pool, entries of conntrack, requests under way.
 *
 * Little's law gives the mean from rate and holding time, whatever their distributions. With Poisson arrivals and no
 * limit the number is Poisson distributed, again whatever the holding times (M/G/∞), which gives the size that is
 * enough for all but a given share of the time.
 */

import { inside, notNegative, positive } from "./domain.ts";

/** Mean number in use, L = λ·T. Rate per second, time in ms. Source: J. Little, Operations Research 9 (1961). */
export function occupancy(ratePerSecond: number, holdMs: number): number {
  notNegative("the rate per second", ratePerSecond);
  notNegative("the time held in ms", holdMs);
  return (ratePerSecond * holdMs) / 1000;
}

/**
 * The smallest size that is not exceeded for the share `q` (0 … 1, exclusive) of the time: Poisson quantile of L.
 * Source: L. Kleinrock, Queueing Systems I, 1975, §3.4 (M/M/∞; insensitive to the distribution).
 */
export function sizeFor(ratePerSecond: number, holdMs: number, q: number): number {
  const mean = occupancy(ratePerSecond, holdMs);
  inside("the share of time", q);
  if (mean === 0) return 0;
  // From far enough below the mean that what lies under it does not count; relative weights, so nothing underflows.
  const from = Math.max(0, Math.floor(mean - 40 * Math.sqrt(mean) - 40));
  const to = Math.ceil(mean + 40 * Math.sqrt(mean) + 40);
  const mode = Math.floor(mean);
  const weights = new Float64Array(to - from + 1);
  weights[mode - from] = 1;
  for (let n = mode + 1; n <= to; n++)
    weights[n - from] = ((weights[n - 1 - from] ?? 0) * mean) / n;
  for (let n = mode - 1; n >= from; n--)
    weights[n - from] = ((weights[n + 1 - from] ?? 0) * (n + 1)) / mean;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let beyond = 0;
  for (let n = to; n > from; n--) {
    beyond += (weights[n - from] ?? 0) / total;
    if (beyond > 1 - q) return n;
  }
  return from;
}

/** The rate per second at which a table or pool of that size is full on average: size / T. */
export function fullAt(size: number, holdMs: number): number {
  notNegative("the size", size);
  positive("the time held in ms", holdMs);
  return (size * 1000) / holdMs;
}
