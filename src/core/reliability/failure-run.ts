/**
 * How many requests until k fail in a row: what a detector of consecutive failures needs to see.
 *
 * For a dead host (every request fails) that is k. For a gray one it explodes as failures become rarer, which is why
 * consecutive-failure detection misses partial failures and success rates must be watched as well.
 */

import { count, positive, share } from "./domain.ts";

/**
 * Mean number of requests until a run of k failures: (1 − q^k) / ((1 − q)·q^k), q the share that fails, above 0; k ≥ 1.
 * Infinity where q^k is below what a double can hold.
 * Source: W. Feller, An Introduction to Probability Theory I, 3rd ed. 1968, §XIII.7 (eq. 7.7).
 */
export function meanRequestsToRun(q: number, k: number): number {
  check(q, k);
  // The same as a sum, 1/q + 1/q² + … + 1/q^k, which does not cancel near q = 1.
  let sum = 0;
  let term = 1;
  for (let i = 0; i < k; i++) {
    term /= q;
    sum += term;
  }
  return sum;
}

/**
 * P(more than n requests until a run of k failures), for n = 0, 1, …, ended once it is below `least`, or after `most`
 * entries. Source: the Markov chain of the run's length.
 */
export function runTails(q: number, k: number, least: number, most: number): number[] {
  check(q, k);
  if (q === 1) return [...new Array<number>(k).fill(1), 0];
  const tails = [1];
  let running = new Float64Array(k); // P(not yet detected, current run is i)
  running[0] = 1;
  let tail = 1;
  while (tail > least && tails.length < most) {
    const next = new Float64Array(k);
    for (let i = 0; i < k; i++) {
      const here = running[i] ?? 0;
      next[0] = (next[0] ?? 0) + here * (1 - q);
      if (i + 1 < k) next[i + 1] = here * q;
    }
    running = next;
    tail = running.reduce((sum, p) => sum + p, 0);
    tails.push(tail);
  }
  return tails;
}

function check(q: number, k: number): void {
  share("the share of requests that fail", q);
  positive("the share of requests that fail", q);
  count("the number of consecutive failures", k, 1);
}
