import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Random, seededRandom } from "../../base/random.ts";
import type { FittedService } from "../../model/forecast.ts";
import { createPicker } from "../../proxy/upstream/balancer/picker.ts";
import { HostRecord } from "../../proxy/upstream/host-record.ts";
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

function forecastOf(changed: Partial<Deployment> = {}, of = fitted) {
  const recovery = recoveryOf({ ...deployment, ...changed }, of);
  assert.equal(recovery.kind, "forecast");
  if (recovery.kind !== "forecast") throw new Error("unreachable");
  return recovery.forecast;
}

/**
 * Milliseconds from the first to the last of `failures` of an endpoint that dies while one caller balances, and requests
 * that failed: they are of exponential length, first come, first served, and come as a Poisson stream; hosts are picked
 * by a sidecar's own code.
 */
function deathUnderLeastRequest(
  { replicas, requestsPerSecond, serviceMs }: FittedService,
  failures: number,
  random: Random,
): { readonly ms: number; readonly lost: number } {
  let now = 0;
  const exponential = (mean: number): number => -Math.log1p(-random()) * mean;
  const hosts = Array.from({ length: replicas }, (_, index) => {
    const record = new HostRecord();
    /** When what is under way will have been answered, in order. */
    const ends: number[] = [];
    return {
      ...{ key: String(index), weight: 1, latencyMs: 1, record, ends },
      get active() {
        while (ends[0] !== undefined && ends[0] <= now) ends.shift();
        return ends.length;
      },
      get strain() {
        return record.strain(now);
      },
    };
  });
  const [dead] = hosts;
  const picker = createPicker({ kind: "least-request" }, hosts, random);
  const diesAt = 2_000;
  let isDead = false;
  let firstAt = 0;
  for (let failed = 0; ; ) {
    now += exponential(1_000 / requestsPerSecond);
    if (!isDead && now >= diesAt) {
      isDead = true;
      for (const _ of dead?.ends.splice(0).filter((end) => end > diesAt) ?? []) {
        failed++;
        firstAt ||= diesAt;
        dead?.record.noteFailure(diesAt);
      }
      if (failed >= failures) return { ms: 0, lost: failed };
    }
    const host = picker.pick();
    if (isDead && host === dead) {
      failed++;
      firstAt ||= now;
      if (failed >= failures) return { ms: now - firstAt, lost: failed };
      host?.record.noteFailure(now);
    } else host?.ends.push(Math.max(now, host.ends.at(-1) ?? 0) + exponential(serviceMs));
  }
}

/**
 * Requests that fail when an endpoint dies that its callers pick at random: what each had under way there, and what it
 * sent until it knew of `failures` in a row. Requests of exponential length, first come, first served by `workers`.
 */
function lossesOfADeath(
  { replicas, requestsPerSecond, serviceMs, overheadMs, workers = 1 }: FittedService,
  { failures, clients }: { readonly failures: number; readonly clients: number },
  random: Random,
): number {
  const exponential = (mean: number): number => -Math.log1p(-random()) * mean;
  const gapMs = (1_000 * replicas) / requestsPerSecond;
  const diesAt = 200 * gapMs;
  const freeAt = Array.from({ length: workers }, () => 0);
  const lost = Array.from({ length: clients }, () => 0);
  /** By caller: when it hears of failures, in order. */
  const heard = lost.map((): number[] => []);
  const fails = (client: number, now: number): void => {
    lost[client] = (lost[client] ?? 0) + 1;
    heard[client]?.push(now + overheadMs);
  };
  for (let now = exponential(gapMs); ; now += exponential(gapMs)) {
    const client = Math.floor(random() * clients);
    if (now < diesAt) {
      freeAt.sort((a, b) => a - b);
      const end = Math.max(now, freeAt[0] ?? 0) + exponential(serviceMs);
      freeAt[0] = end;
      if (end > diesAt) fails(client, diesAt);
      continue;
    }
    const knows = (caller: number): boolean => (heard[caller]?.[failures - 1] ?? Infinity) <= now;
    if (!knows(client)) fails(client, now);
    if (lost.every((_, caller) => knows(caller))) return lost.reduce((sum, each) => sum + each, 0);
  }
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

  test("takes longer under least-request, which turns away from who fails", () => {
    assert.ok(forecastOf({ balancing: "least-request" }).detectMs > 2 * forecastOf().detectMs);
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

  test("lies in the stated interval where a sidecar's own balancer picks, failures in mind", () => {
    const busy = {
      ...fitted,
      replicas: 4,
      requestsPerSecond: 100,
      serviceMs: 5,
      utilisation: 0.125,
    };
    const { detectMs, detectIntervalMs, certainty } = forecastOf(
      { replicas: 4, balancing: "least-request" },
      busy,
    );
    const random = seededRandom(11);
    const runs = 2_000;
    const took = Array.from({ length: runs }, () => deathUnderLeastRequest(busy, 5, random).ms);
    const inside = took.filter(
      (ms) => ms >= detectIntervalMs[0] && ms <= detectIntervalMs[1],
    ).length;
    const mean = took.reduce((sum, ms) => sum + ms, 0) / runs;
    assert.ok(Math.abs(mean / detectMs - 1) < 0.1, `${mean} ms, predicted ${detectMs}`);
    assert.ok(inside / runs > certainty - 0.01, String(inside / runs));
  });

  test("loses all that is under way where that is more than it takes to eject", () => {
    const cases = [
      { utilisation: 0.2, workers: 1, clients: 1 },
      { utilisation: 0.8, workers: 1, clients: 1 },
      { utilisation: 0.8, workers: 1, clients: 3 },
      { utilisation: 0.7, workers: 8, clients: 1 },
      { utilisation: 0.5, workers: 16, clients: 2 },
    ];
    const random = seededRandom(5);
    const runs = 2_000;
    for (const { clients, ...busy } of cases) {
      const requestsPerSecond = 300 * busy.workers * busy.utilisation;
      const of = { ...fitted, ...busy, requestsPerSecond };
      const { lostRequests, lostInterval, certainty } = forecastOf({ clients }, of);
      const lost = Array.from({ length: runs }, () =>
        lossesOfADeath(of, { failures: 5, clients }, random),
      );
      const share = (is: (count: number) => boolean) => lost.filter(is).length / runs;
      const mean = lost.reduce((sum, count) => sum + count, 0) / runs;
      const said = `${JSON.stringify(busy)}: ${lostInterval}, ${lostRequests} of ${mean}`;
      const [low, high] = lostInterval;
      assert.ok(share((count) => count >= low && count <= high) > certainty - 0.01, said);
      assert.ok(share((count) => count >= high) > 0.001, `no wider than it has to be: ${said}`);
      assert.ok(Math.abs(lostRequests / mean - 1) < 0.05, said);
    }
  });

  test("loses what the stated interval has where a sidecar's own balancer picks for busy endpoints", () => {
    const busy = { ...fitted, requestsPerSecond: 255, utilisation: 0.85 };
    const { lostInterval, certainty } = forecastOf({ balancing: "least-request" }, busy);
    const random = seededRandom(13);
    const runs = 1_000;
    const lost = Array.from({ length: runs }, () => deathUnderLeastRequest(busy, 5, random).lost);
    const [low, high] = lostInterval;
    const inside = lost.filter((count) => count >= low && count <= high).length;
    assert.ok(
      lost.some((count) => count > 5),
      "more was under way than it takes to eject",
    );
    assert.ok(inside / runs > certainty - 0.01, `${inside} of ${runs} in ${lostInterval}`);
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
