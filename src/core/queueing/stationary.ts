/**
 * The stationary distribution of a finite Markov chain, by state reduction.
 *
 * Grassmann, Taksar and Heyman's elimination never subtracts, so each probability comes out with full relative
 * precision, however small: what availabilities of 0.99999999 need. Works alike for transition probabilities and for
 * rates, because only what leaves a state counts. Cost: n³/3, or n²·reach where no state leads further down than
 * `reach`.
 *
 * Source: W. Grassmann, M. Taksar, D. Heyman, Regenerative analysis and steady state distributions for Markov chains,
 * Operations Research 33 (1985); W. Stewart, Probability, Markov Chains, Queues, and Simulation, 2009, §10.2.
 */

import { MeshError } from "../../base/error.ts";

/**
 * Shares of time per state. `flow[i][j]` is the probability or rate from i to j; the diagonal is ignored. `reach`: the
 * furthest that a state leads to a lower-numbered one. State 0 must be reachable from every state.
 */
export function stationary(flow: readonly (readonly number[])[], reach?: number): number[] {
  const size = flow.length;
  const rows = flow.map((row) => Float64Array.from(row));
  const farthest = reach ?? size;
  for (let n = size - 1; n > 0; n--) {
    const row = rows[n] ?? new Float64Array();
    const lowest = Math.max(0, n - farthest);
    let leaving = 0;
    for (let j = lowest; j < n; j++) leaving += row[j] ?? 0;
    if (!(leaving > 0)) {
      throw new MeshError(
        "queueing.domain",
        `state ${n} of the Markov chain never leads back to a lower state, so it has no stationary distribution`,
        { fault: "user" },
      );
    }
    for (let i = 0; i < n; i++) {
      const from = rows[i] ?? new Float64Array();
      const into = (from[n] ?? 0) / leaving;
      from[n] = into;
      if (into === 0) continue;
      for (let j = lowest; j < n; j++) from[j] = (from[j] ?? 0) + into * (row[j] ?? 0);
    }
  }
  const shares = [1];
  let total = 1;
  for (let n = 1; n < size; n++) {
    let share = 0;
    for (let i = 0; i < n; i++) share += (shares[i] ?? 0) * (rows[i]?.[n] ?? 0);
    shares.push(share);
    total += share;
  }
  return shares.map((share) => share / total);
}
