/**
 * What checks of one endpoint amount to: usable until the first result, which decides at once; from then on so many
 * failures in a row, or so many successes, change it. An answer that says "no" plainly counts at once.
 */

import type { HealthCheck } from "../../model/proxy-config.ts";

/**
 * `failed`: no answer, or one that may pass; `refused`: the endpoint says itself that it is unwell; `unknown`: it could
 * not be asked.
 */
export type ProbeResult = "passed" | "failed" | "refused" | "unknown";

export interface HealthState {
  readonly isUnwell: boolean;
  /** Results in a row that speak against the present state; undefined: there was none yet. */
  readonly against: number | undefined;
}

export const unchecked: HealthState = { isUnwell: false, against: undefined };

export function nextHealth(
  state: HealthState,
  result: ProbeResult,
  { healthyThreshold, unhealthyThreshold }: HealthCheck,
): HealthState {
  if (result === "unknown") return state;
  const isUnwell = result !== "passed";
  if (isUnwell === state.isUnwell && state.against !== undefined) return { isUnwell, against: 0 };
  if (state.against === undefined || result === "refused") return { isUnwell, against: 0 };
  const against = state.against + 1;
  const needed = isUnwell ? unhealthyThreshold : healthyThreshold;
  return against >= needed ? { isUnwell, against: 0 } : { isUnwell: state.isUnwell, against };
}
