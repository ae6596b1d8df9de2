/** Arithmetic of benches: medians of what was measured, and figures short enough to read. */

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Two decimals. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
