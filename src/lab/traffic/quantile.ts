/**
 * Quantiles of a Prometheus histogram, the way `histogram_quantile` estimates them: linear inside a bucket.
 *
 * Buckets are cumulative and given by upper bound; the last one is +Inf, for which nothing better than the bound
 * below it can be said.
 */

export interface Bucket {
  /** `le`: the upper bound, inclusive; Infinity for the last. */
  readonly upTo: number;
  /** Observations at or below it. */
  readonly count: number;
}

/** The value below which the share `q` (0..1) of observations lies; undefined without observations. */
export function quantile(q: number, buckets: readonly Bucket[]): number | undefined {
  const sorted = [...buckets].sort((a, b) => a.upTo - b.upTo);
  const total = sorted.at(-1)?.count ?? 0;
  if (total === 0) return undefined;
  const rank = q * total;
  let below: Bucket = { upTo: 0, count: 0 };
  for (const bucket of sorted) {
    if (bucket.count >= rank && bucket.count > below.count) {
      if (bucket.upTo === Number.POSITIVE_INFINITY) return below.upTo;
      const share = (rank - below.count) / (bucket.count - below.count);
      return below.upTo + (bucket.upTo - below.upTo) * share;
    }
    below = bucket;
  }
  return below.upTo;
}
