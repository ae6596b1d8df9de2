/** Slow start: how much of its weight a host gets that came a while ago. Envoy's curve. */

import type { SlowStart } from "../../model/proxy-config.ts";

/** Of 1. `ageMs`: since the host became known. */
export function warmth({ windowMs, aggression, minPercent }: SlowStart, ageMs: number): number {
  if (ageMs >= windowMs) return 1;
  // In the first instant a share of zero would be for ever: nobody would see it grow.
  const elapsed = Math.max(ageMs, 1) / windowMs;
  return Math.max(minPercent / 100, elapsed ** (1 / aggression));
}
