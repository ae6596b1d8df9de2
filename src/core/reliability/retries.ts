/**
 * What retries win and what they cost.
 *
 * Attempts are taken as failing independently with the same share f: true when a retry meets another host, too hopeful
 * when the cause is shared (an overloaded service), for which see `metastability.ts`.
 */

import { count, notNegative, positive, share } from "./domain.ts";

/** Share of requests that succeed with n retries: 1 − fⁿ⁺¹. f from 0 to 1, whole n ≥ 0. */
export function retrySuccess(failureShare: number, retries: number): number {
  check(failureShare, retries);
  return 1 - failureShare ** (retries + 1);
}

/** Mean attempts per request, (1 − fⁿ⁺¹) / (1 − f); n + 1 where everything fails. f from 0 to 1, whole n ≥ 0. */
export function attempts(failureShare: number, retries: number): number {
  check(failureShare, retries);
  let sum = 0;
  for (let i = retries; i >= 0; i--) sum = 1 + sum * failureShare; // Horner: 1 + f + … + fⁿ
  return sum;
}

/** Attempts at the last of d services in a row when each of the callers retries: attempts^d, up to (n+1)^d. */
export function chainAmplification(failureShare: number, retries: number, depth: number): number {
  count("the depth of the chain", depth, 0);
  return attempts(failureShare, retries) ** depth;
}

export interface RetryBudget {
  /** Requests per second. */
  readonly arrivalsPerSecond: number;
  /** How long an attempt takes, in ms. */
  readonly attemptMs: number;
  /** Retries under way may be this share of all requests under way; Envoy's 0.2. */
  readonly budgetShare: number;
  /** So many retries may be under way in any case; Envoy's 3. */
  readonly leastConcurrent: number;
}

export interface Budgeted {
  /** Mean attempts per request. */
  readonly attempts: number;
  readonly success: number;
  /** Share of wanted retries that the budget allows. */
  readonly grantedShare: number;
}

/**
 * Retries under Envoy's budget: by Little's law a retry rate x keeps x·T under way, so x ≤ max(b·(λ + x), least / T).
 * What is wanted beyond is refused at random: a share g is granted, F(0) = f, F(n) = f·(1 − g + g·F(n−1)).
 * Rates per second, times in ms. Source: Envoy, retry_budget (circuit_breaker.proto); the mean-field g is ours.
 */
export function budgetedRetries(
  failureShare: number,
  retries: number,
  budget: RetryBudget,
): Budgeted {
  check(failureShare, retries);
  positive("arrivals per second", budget.arrivalsPerSecond);
  positive("the duration of an attempt in ms", budget.attemptMs);
  share("the budget's share", budget.budgetShare);
  notNegative("the least number of concurrent retries", budget.leastConcurrent);
  const { arrivalsPerSecond, attemptMs, budgetShare, leastConcurrent } = budget;
  const byShare = budgetShare === 1 ? Number.POSITIVE_INFINITY : budgetShare / (1 - budgetShare);
  const byCount = (leastConcurrent * 1000) / attemptMs / arrivalsPerSecond;
  const allowed = Math.max(byShare, byCount); // retries per request
  let low = 0;
  let high = 1;
  if (grantedAttempts(failureShare, retries, 1) - 1 <= allowed) low = 1;
  while (high - low > 1e-12) {
    const middle = (low + high) / 2;
    if (grantedAttempts(failureShare, retries, middle) - 1 > allowed) high = middle;
    else low = middle;
  }
  let failed = failureShare;
  for (let i = 0; i < retries; i++) failed = failureShare * (1 - low + low * failed);
  return {
    attempts: grantedAttempts(failureShare, retries, low),
    success: 1 - failed,
    grantedShare: low,
  };
}

function grantedAttempts(failureShare: number, retries: number, granted: number): number {
  let sum = 1;
  for (let i = 0; i < retries; i++) sum = 1 + failureShare * granted * sum;
  return sum;
}

function check(failureShare: number, retries: number): void {
  share("the share of attempts that fail", failureShare);
  count("the number of retries", retries, 0);
}
