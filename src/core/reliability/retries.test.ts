/** Retries: what they win, what they cost, and when they keep a service down. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { regime, timeoutFailures } from "./metastability.ts";
import { attempts, budgetedRetries, chainAmplification, retrySuccess } from "./retries.ts";

function near(actual: number, expected: number, absolute: number): void {
  assert.ok(Math.abs(actual - expected) <= absolute, `got ${actual}, wanted ${expected}`);
}

describe("retries", () => {
  test("win 1 − fⁿ⁺¹ and cost (1 − fⁿ⁺¹) / (1 − f) attempts", () => {
    near(retrySuccess(0.1, 2), 0.999, 1e-15);
    near(attempts(0.1, 2), 1.11, 1e-15);
    assert.equal(attempts(1, 2), 3);
    assert.equal(attempts(0, 9), 1);
    assert.throws(
      () => attempts(1.2, 2),
      /share of attempts that fail must lie from 0 to 1, got 1.2/,
    );
  });

  test("four services deep, three tries each, end in 81 attempts", () => {
    near(chainAmplification(1, 2, 4), 81, 1e-12);
  });
});

describe("a retry budget", () => {
  const budget = { arrivalsPerSecond: 1000, attemptMs: 20, budgetShare: 0.2, leastConcurrent: 3 };

  test("is not felt while failures are few", () => {
    const few = budgetedRetries(0.1, 2, budget);
    assert.equal(few.grantedShare, 1);
    near(few.success, 0.999, 1e-12);
    near(few.attempts, 1.11, 1e-12);
  });

  test("keeps retries to its share of all attempts when everything fails", () => {
    const all = budgetedRetries(1, 2, budget);
    near((all.attempts - 1) / all.attempts, 0.2, 1e-9);
    assert.equal(all.success, 0);
  });

  test("lets the least number through where there is little traffic", () => {
    const quiet = budgetedRetries(1, 2, { ...budget, arrivalsPerSecond: 10 });
    assert.equal(quiet.attempts, 3);
  });
});

describe("a service with retries", () => {
  const failureShare = timeoutFailures({ servers: 4, serviceMs: 10, serviceScv: 1 }, 250);

  test("far below capacity is stable: no burst lasts", () => {
    const calm = regime({ arrivalsPerSecond: 100, retries: 2, failureShare });
    assert.ok(calm.kind === "stable" && calm.failureShare < 1e-6);
    near(calm.attemptsPerSecond, 100, 1e-3);
  });

  test("in between is metastable, and all three points are fixed points", () => {
    const risky = regime({ arrivalsPerSecond: 250, retries: 2, failureShare });
    assert.ok(risky.kind === "metastable");
    assert.ok(risky.low < risky.tipping && risky.tipping < risky.high);
    near(risky.high, 750, 1e-3);
    for (const rate of [risky.low, risky.tipping, risky.high])
      near(250 * attempts(failureShare(rate), 2), rate, 0.01);
    near(risky.margin, risky.tipping - risky.low, 0);
  });

  test("near capacity has only the collapsed state", () => {
    const lost = regime({ arrivalsPerSecond: 399, retries: 2, failureShare });
    assert.ok(lost.kind === "stable" && lost.failureShare === 1);
  });

  test("is kept from collapse by a budget", () => {
    const budget = { attemptMs: 10, budgetShare: 0.2, leastConcurrent: 0, arrivalsPerSecond: 250 };
    const attemptsAt = (f: number): number => budgetedRetries(f, 2, budget).attempts;
    const kept = regime({ arrivalsPerSecond: 250, retries: 2, failureShare, attemptsAt });
    assert.equal(kept.kind, "stable");
  });
});
