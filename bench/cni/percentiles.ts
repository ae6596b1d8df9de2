/** Times of many calls as two figures, and one side's figures over the other's. */

export interface Percentiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly count: number;
}

/** Nearest rank; milliseconds with two decimals. */
export function percentiles(times: readonly number[]): Percentiles {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => round(sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN);
  return { p50Ms: at(0.5), p99Ms: at(0.99), count: times.length };
}

export function ratioOf(
  ours: Percentiles,
  theirs: Percentiles,
): { readonly p50: number; readonly p99: number } {
  return { p50: round(ours.p50Ms / theirs.p50Ms), p99: round(ours.p99Ms / theirs.p99Ms) };
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
