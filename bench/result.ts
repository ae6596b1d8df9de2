/** What every bench answers: ours against a floor and rivals, in one run. */

export interface BenchResult {
  readonly bench: string;
  /** Of `ours`, `floor` and `rivals`. */
  readonly unit: string;
  readonly ours: number;
  /** What the same costs without us: the direct path. */
  readonly floor: number | null;
  readonly rivals: Readonly<Record<string, number>>;
  /** Ours divided by each, `floor` among them; where several things are measured, the worst of their ratios. */
  readonly ratio: Readonly<Record<string, number>>;
  /** How ours grows with n. */
  readonly growth: readonly { readonly n: number; readonly value: number }[];
  /** Everything else that was measured. */
  readonly details?: unknown;
}
