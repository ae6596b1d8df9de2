/** Availability of a service that needs k of its n replicas, which are up or down independently of each other. */

import { count, refuse, share } from "./domain.ts";

/**
 * P(at least k of n up) = Σ C(n,i)·aⁱ·(1−a)ⁿ⁻ⁱ, i from k to n. a from 0 to 1, whole 0 ≤ k ≤ n.
 * Source: K. Trivedi 2002, §1.10 (as in `markov.ts`).
 */
export function kOfN(k: number, n: number, each: number): number {
  // Of both sides the smaller is summed, so that neither 1 − 1e-12 nor 1e-12 loses digits to the other.
  const lacking = kOfNLacking(k, n, each);
  return lacking < 0.5 ? 1 - lacking : binomialSum(k, n, n, each);
}

/** 1 − kOfN, without cancellation: the share of time that fewer than k are up. */
export function kOfNLacking(k: number, n: number, each: number): number {
  count("the number of replicas", n, 0);
  count("the number of replicas needed", k, 0);
  share("the availability of a replica", each);
  if (k > n) refuse(`${k} replicas are needed, and there are only ${n}`);
  return binomialSum(0, k - 1, n, each);
}

function binomialSum(from: number, to: number, n: number, p: number): number {
  if (p === 0) return from <= 0 && to >= 0 ? 1 : 0;
  if (p === 1) return from <= n && to >= n ? 1 : 0;
  let logChoose = 0;
  let sum = 0;
  for (let i = 0; i <= to; i++) {
    if (i > 0) logChoose += Math.log((n - i + 1) / i);
    if (i >= from) sum += Math.exp(logChoose + i * Math.log(p) + (n - i) * Math.log1p(-p));
  }
  return Math.min(1, sum);
}
