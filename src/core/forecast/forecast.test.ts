/** Forecasts against a simulated service whose sidecars count as the real ones do. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LogHistogram } from "../../base/log-histogram.ts";
import { type Random, seededRandom } from "../../base/random.ts";
import type { FoundCounts, ServingCounts } from "../../model/observation.ts";
import type { Deployment } from "./deployment.ts";
import { fitWindow } from "./fit.ts";
import { type ForecastInput, forecast } from "./forecast.ts";
import { judge } from "./judge.ts";
import { parseLoad, parseReplicas } from "./question.ts";
import type { ServiceWindow } from "./window.ts";

interface Simulated {
  readonly rps: number;
  readonly seconds: number;
  readonly workers?: number;
  readonly service: (random: Random) => number;
  readonly seed?: number;
  readonly gap?: (random: Random) => number;
}

const exponential = (meanMs: number) => (random: Random) => -Math.log1p(-random()) * meanMs;

/** One replica that serves in order with so many workers, seen as its sidecar and its caller's see it. */
function simulated({
  rps,
  seconds,
  workers = 1,
  service,
  seed = 1,
  gap,
}: Simulated): ServiceWindow {
  const random = seededRandom(seed);
  const next = gap ?? exponential(1000 / rps);
  const freeAt = new Array<number>(workers).fill(0);
  const requests: { arrived: number; departed: number; found: number }[] = [];
  for (let at = next(random); at < seconds * 1000; at += next(random)) {
    const worker = freeAt.indexOf(Math.min(...freeAt));
    const departed = Math.max(at, freeAt[worker] ?? 0) + service(random);
    freeAt[worker] = departed;
    const found = requests.slice(-200).filter((one) => one.departed > at).length;
    requests.push({ arrived: at, departed, found });
  }
  return { from: 0, to: seconds * 1000, serving: [counted(requests)], edges: [edge(requests)] };
}

function counted(
  requests: readonly { arrived: number; departed: number; found: number }[],
): ServingCounts {
  const responses = new LogHistogram();
  const services = new LogHistogram();
  const found: [number, number, number][] = [];
  const sums = { response: 0, service: 0, square: 0, gap: 0, gapSquare: 0 };
  let lastDeparture = 0;
  const byDeparture = [...requests].sort((a, b) => a.departed - b.departed);
  for (const { arrived, departed, found: n } of byDeparture) {
    const response = departed - arrived;
    const service = departed - Math.max(arrived, lastDeparture);
    lastDeparture = departed;
    responses.observe(response);
    services.observe(service);
    sums.response += response;
    sums.service += service;
    sums.square += service ** 2;
    while (found.length <= Math.min(n, 32)) found.push([0, 0, 0]);
    const level = found[Math.min(n, 32)];
    if (level === undefined) continue;
    level[0]++;
    level[1] += response;
    level[2] += response ** 2;
  }
  for (const [i, { arrived }] of requests.entries()) {
    const gap = i === 0 ? 0 : arrived - (requests[i - 1]?.arrived ?? 0);
    sums.gap += gap;
    sums.gapSquare += gap ** 2;
  }
  return {
    pod: "shop/web-0",
    service: "shop/web",
    requests: requests.length,
    failed: 0,
    responses: responses.sparse(),
    responseSumMs: sums.response,
    busyMs: 0,
    inFlightMs: sums.response,
    gaps: Math.max(0, requests.length - 1),
    gapSumMs: sums.gap,
    gapSquareSumMs2: sums.gapSquare,
    services: services.sparse(),
    serviceSumMs: sums.service,
    serviceSquareSumMs2: sums.square,
    found: found as readonly FoundCounts[],
  };
}

const overheadMs = 0.7;

function edge(requests: readonly { arrived: number; departed: number }[]) {
  const durations = new LogHistogram();
  let durationSumMs = 0;
  for (const { arrived, departed } of requests) {
    durations.observe(departed - arrived + overheadMs);
    durationSumMs += departed - arrived + overheadMs;
  }
  return {
    source: "shop/visitor",
    destination: "shop/web",
    protocol: "http" as const,
    version: "v1",
    codes: { "200": requests.length },
    flags: {},
    retries: 0,
    durations: durations.sparse(),
    durationSumMs,
  };
}

const alone: Deployment = {
  service: "shop/web",
  replicas: 1,
  balancing: "least-request",
  clients: 1,
  retries: 2,
};
const outliers = {
  consecutive5xx: 5,
  consecutiveGatewayErrors: 0,
  intervalMs: 1_000,
  baseEjectionMs: 30_000,
  maxEjectionPercent: 50,
};

function input(window: ServiceWindow | undefined, deployment = alone): ForecastInput {
  const seen = window === undefined ? {} : { window };
  return { at: 1, deployment, ...seen, judged: [], recoveries: [] };
}

function near(actual: number | undefined, expected: number, share: number, what = ""): void {
  assert.ok(actual !== undefined, `${what} is known`);
  const error = Math.abs(actual - expected) / expected;
  assert.ok(error <= share, `${what}: ${actual}, expected ${expected} within ${share}`);
}

describe("a fit to live traffic", () => {
  test("finds workers, service time and variability of what was simulated", () => {
    const cases = [
      // workers, service, its mean, its SCV, requests per second
      [1, exponential(10), 10, 1, 50],
      [1, () => 10, 10, 0, 70],
      [2, exponential(20), 20, 1, 60],
      [4, () => 20, 20, 0, 160],
    ] as const;
    for (const [workers, service, meanMs, scv, rps] of cases) {
      const window = simulated({ rps, seconds: 60, workers, service });
      const fit = fitWindow(window, alone);
      assert.equal(fit.kind, "fitted");
      if (fit.kind !== "fitted") continue;
      const what = `${workers} workers at ${rps}/s`;
      assert.equal(fit.fitted.workers, workers, what);
      assert.ok(Math.abs(fit.fitted.serviceScv - scv) < 0.15, what);
      assert.equal(fit.fitted.arrivalScv, 1, what);
      near(fit.fitted.serviceMs, meanMs, 0.06, what);
      near(fit.fitted.overheadMs, overheadMs, 0.01, what);
    }
  });

  test("sees no limit where requests do not wait for each other, and says so", () => {
    const window = simulated({ rps: 200, seconds: 30, workers: 500, service: exponential(20) });
    const answer = forecast(input(window), { load: parseLoad("x3") });
    assert.equal(answer.fitted?.model, "M/G/∞");
    assert.equal(answer.fitted?.workers, undefined);
    assert.equal(answer.saturationRequestsPerSecond, undefined);
    near(answer.asked?.latency?.p50Ms, 20 * Math.LN2 + overheadMs, 0.1);
    assert.match(answer.notes.join(), /did not wait for each other/);
  });

  test("sees that requests come at regular intervals, and predicts the shorter queue", () => {
    const service = exponential(10);
    const regular = simulated({ rps: 70, seconds: 60, service, gap: () => 1000 / 70 });
    const answer = forecast(input(regular), {});
    assert.ok((answer.fitted?.arrivalScv ?? 1) < 0.05);
    near(answer.asked?.latency?.p99Ms, answer.live?.latency.p99Ms ?? 0, 0.2);
  });
});

describe("a prediction from one window", () => {
  test("holds for the next, and for twice the load", () => {
    for (const [service, rho] of [
      [exponential(10), 0.35],
      [() => 10, 0.35],
    ] as const) {
      const before = simulated({ rps: rho * 100, seconds: 120, service, seed: 2 });
      for (const factor of [1, 2]) {
        const after = simulated({ rps: rho * 100 * factor, seconds: 600, service, seed: 3 });
        const judged = judge(before, after, alone);
        near(judged?.predicted.p50Ms, judged?.measured.p50Ms ?? 0, 0.1, `p50 × ${factor}`);
        near(judged?.predicted.p99Ms, judged?.measured.p99Ms ?? 0, 0.15, `p99 × ${factor}`);
      }
    }
  });
});

describe("a forecast", () => {
  const window = simulated({ rps: 50, seconds: 60, service: exponential(10) });

  test("has a curve that rises to saturation, a knee before it, and the replicas that are needed", () => {
    const answer = forecast(input(window), {});
    const { curve, kneeRequestsPerSecond = 0, saturationRequestsPerSecond = 0 } = answer;
    assert.equal(curve.length, 24);
    for (const [i, point] of curve.entries())
      if (i > 0) assert.ok(point.p99Ms >= (curve[i - 1]?.p99Ms ?? 0));
    near(saturationRequestsPerSecond, 100, 0.06);
    near(kneeRequestsPerSecond, 50, 0.1, "an M/M/1 has twice the p99 at half of its capacity");
    assert.ok((answer.replicasNeeded ?? 0) >= 1 && (answer.replicasNeeded ?? 0) <= 2);
  });

  test("says what is missing or unbounded in a sentence, and holds no number that is none", () => {
    const few = simulated({ rps: 1, seconds: 5, service: exponential(10) });
    const answers = [
      forecast(input(undefined), {}),
      forecast(input(few), {}),
      forecast(input({ ...window, serving: [], edges: [] }), {}),
      forecast(input(window, { ...alone, replicas: 0 }), {}),
      forecast(input(window), { load: parseLoad("x2") }),
      forecast(input(window), { load: parseLoad("1000000000") }),
      forecast(input(window, { ...alone, replicas: 2, outliers }), { replicas: 1 }),
    ];
    for (const answer of answers) {
      const sentence =
        answer.unknown ?? answer.asked?.unbounded ?? answer.withoutOneReplica?.unbounded;
      assert.match(sentence ?? "", /^[a-z0-9].{20,}[^.]$/);
      // JSON has no NaN and no Infinity: they would come out as null.
      assert.doesNotMatch(JSON.stringify(answer), /null/);
    }
  });

  test("refuses loads and replicas that are none", () => {
    for (const text of ["", "x", "x0", "-1", "NaN", "1e400", "Infinity", "two", "0x2"])
      assert.throws(() => parseLoad(text), { code: "forecast.rps" }, text);
    for (const text of ["", "0", "-1", "1.5", "many", "1e9"])
      assert.throws(() => parseReplicas(text), { code: "forecast.replicas" }, text);
    assert.deepEqual(parseLoad("×2"), { kind: "times", factor: 2 });
    assert.deepEqual(parseLoad("40"), { kind: "rate", requestsPerSecond: 40 });
  });
});
