/** Exponential backoff with full jitter: a pure sequence of delays; the caller sleeps. */

import type { Random } from "./random.ts";

export interface BackoffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Delay before attempt `attempt` (0-based), uniformly in (0.5, 1] of `base · 2^attempt`, capped at `maxMs`. */
export function backoffMs(attempt: number, options: BackoffOptions, random: Random): number {
  const ceiling = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(attempt, 30));
  return ceiling * (1 - random() / 2);
}
