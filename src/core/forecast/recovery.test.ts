import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import type { FittedService } from "../../model/forecast.ts";
import type { Deployment } from "./deployment.ts";
import { recoveryOf } from "./recovery.ts";

const fitted: FittedService = {
  model: "3 × M/M/1 least-request",
  seenBy: "callers",
  replicas: 3,
  workers: 1,
  requestsPerSecond: 60,
  serviceMs: 10,
  serviceScv: 1,
  arrivalScv: 1,
  overheadMs: 1,
  utilisation: 0.2,
  requests: 1000,
  windowSeconds: 20,
};

const deployment: Deployment = {
  service: "shop/web",
  replicas: 3,
  balancing: "random",
  clients: 1,
  retries: 0,
  outliers: {
    consecutive5xx: 5,
    consecutiveGatewayErrors: 0,
    intervalMs: 1_000,
    baseEjectionMs: 30_000,
    maxEjectionPercent: 50,
  },
};

function forecastOf(changed: Partial<Deployment> = {}) {
  const recovery = recoveryOf({ ...deployment, ...changed }, fitted);
  assert.equal(recovery.kind, "forecast");
  if (recovery.kind !== "forecast") throw new Error("unreachable");
  return recovery.forecast;
}

describe("the recovery from a dead endpoint", () => {
  test("takes four more requests to it after the first that failed", () => {
    const { detectMs, detectIntervalMs, lostRequests, lostInterval, basis } = forecastOf();
    // 20 requests a second each; a little less, as some were under way and failed at once.
    assert.ok(detectMs > 190 && detectMs <= 200, String(detectMs));
    assert.ok(detectIntervalMs[0] < 50 && detectIntervalMs[1] > 450, String(detectIntervalMs));
    assert.ok(lostRequests >= 5 && lostRequests < 5.1);
    assert.equal(lostInterval[0], 5);
    assert.equal(basis, "5 failures in a row of the one caller eject for 30 s; no retries");
  });

  test("loses nothing where requests are retried on another endpoint", () => {
    const { lostRequests, lostInterval } = forecastOf({ retries: 2 });
    assert.ok(lostRequests < 0.01);
    assert.deepEqual(lostInterval, [0, 0]);
  });

  test("lasts until the last of several callers has seen it, each with fewer requests", () => {
    const one = forecastOf();
    const four = forecastOf({ clients: 4 });
    assert.ok(four.detectMs > 4 * one.detectMs);
    assert.ok(four.lostRequests >= 20);
  });

  test("is quicker under least-request, to which a dead endpoint looks idle", () => {
    assert.ok(forecastOf({ balancing: "least-request" }).detectMs < forecastOf().detectMs);
  });

  test("lies in the stated interval as often as it is said to, by simulation", () => {
    const { detectIntervalMs, certainty } = forecastOf();
    const random = seededRandom(7);
    let inside = 0;
    const runs = 20_000;
    for (let run = 0; run < runs; run++) {
      let underWay = 0;
      while (random() < 0.2) underWay++; // P(N > n) = ρ^(n+1)
      let ms = 0;
      for (let seen = Math.max(1, underWay); seen < 5; seen++) ms -= Math.log1p(-random()) * 50;
      if (ms >= detectIntervalMs[0] && ms <= detectIntervalMs[1]) inside++;
    }
    assert.ok(Math.abs(inside / runs - certainty) < 0.005, String(inside / runs));
  });

  test("is promised by nobody without outlier detection, another endpoint or requests", () => {
    const { outliers, ...without } = deployment;
    const never = outliers && { ...outliers, maxEjectionPercent: 0 };
    const cases = [
      recoveryOf(without, fitted),
      recoveryOf({ ...without, ...(never && { outliers: never }) }, fitted),
      recoveryOf({ ...deployment, replicas: 1 }, fitted),
      recoveryOf(deployment, { ...fitted, requestsPerSecond: 0 }),
    ];
    for (const recovery of cases) {
      assert.equal(recovery.kind, "unknown");
      if (recovery.kind === "unknown") assert.match(recovery.why, /^[a-z].{20,}/);
    }
  });
});
