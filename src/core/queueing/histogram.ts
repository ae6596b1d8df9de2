/**
 * Latency histograms: quantiles and means out of cumulative buckets, and what a model would look like through them.
 *
 * Buckets are Prometheus': cumulative, by inclusive upper bound, the last one +Inf. A quantile is interpolated linearly
 * inside its bucket, the way `histogram_quantile` does it, which in Istio's wide buckets can be off by half a bucket.
 * So a prediction is compared with a histogram only after it was put through the same buckets (`throughBuckets`).
 */

import type { Steady } from "./demand.ts";

export interface Bucket {
  /** `le`: the upper bound, inclusive; Infinity for the last. */
  readonly upTo: number;
  /** Observations at or below it. */
  readonly count: number;
}

/** The value below which the share `q` (0 … 1) of observations lies; undefined without observations. */
export function quantile(q: number, buckets: readonly Bucket[]): number | undefined {
  const sorted = ascending(buckets);
  const total = sorted.at(-1)?.count ?? 0;
  if (total === 0) return undefined;
  const rank = q * total;
  let below: Bucket = { upTo: 0, count: 0 };
  for (const bucket of sorted) {
    if (bucket.count >= rank && bucket.count > below.count) {
      // Nothing better than the bound below is known of the last bucket.
      if (bucket.upTo === Number.POSITIVE_INFINITY) return below.upTo;
      const share = (rank - below.count) / (bucket.count - below.count);
      return below.upTo + (bucket.upTo - below.upTo) * share;
    }
    below = bucket;
  }
  return below.upTo;
}

/** The difference of two readings of one histogram: what was observed between them; bounds as in `later`. */
export function between(earlier: readonly Bucket[], later: readonly Bucket[]): Bucket[] {
  const before = new Map(earlier.map(({ upTo, count }) => [upTo, count]));
  const hasRestarted = later.some(({ upTo, count }) => count < (before.get(upTo) ?? 0));
  if (hasRestarted) return ascending(later);
  return ascending(later).map(({ upTo, count }) => ({
    upTo,
    count: count - (before.get(upTo) ?? 0),
  }));
}

/** What a histogram with these bounds would hold of `count` responses of a predicted distribution. */
export function throughBuckets(
  response: Pick<Steady, "tail">,
  bounds: readonly number[],
  count = 1,
): Bucket[] {
  const buckets: Bucket[] = [];
  let tail = 1;
  for (const upTo of [...bounds].sort((a, b) => a - b)) {
    if (upTo === Number.POSITIVE_INFINITY) continue;
    // Beyond what matters to any count, the tail is not worth its cost.
    if (tail > 1e-8) tail = response.tail(upTo);
    buckets.push({ upTo, count: count * (1 - tail) });
  }
  return [...buckets, { upTo: Number.POSITIVE_INFINITY, count }];
}

/** By upper bound, smallest first. */
export function ascending(buckets: readonly Bucket[]): Bucket[] {
  return [...buckets].sort((a, b) => a.upTo - b.upTo);
}
