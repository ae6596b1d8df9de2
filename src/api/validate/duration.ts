/** Durations as Go writes them: `1.5s`, `1h30m`, `250ms`. */

import { type Check, typeName } from "./schema/check.ts";
import { text } from "./schema/scalar.ts";

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds; undefined where the text is no duration. */
export function durationMs(value: string): number | undefined {
  if (!/^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$/.test(value)) return undefined;
  let total = 0;
  for (const [, amount = "", unit = ""] of value.matchAll(/([0-9.]+)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * (unitMs[unit] ?? 0);
  }
  return total;
}

/** A duration of at least `leastMs`: Istio's own bound is 1 ms. */
export function duration(leastMs = 1): Check {
  return (value, at) => {
    if (typeof value === "number") {
      at.error(`must be a duration such as 1.5s, got ${typeName(value)}`);
      return;
    }
    text((given) => {
      const ms = durationMs(given);
      if (ms === undefined) return "must be a duration such as 1.5s, 250ms or 1h30m";
      return ms < leastMs ? `must be a duration of ${leastMs}ms or more` : undefined;
    })(value, at);
  };
}
