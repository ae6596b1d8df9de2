/** Time to detect and requests lost, against closed forms and a seeded simulation of clients that count failures. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MeshError } from "../../base/error.ts";
import { type Random, seededRandom } from "../../base/random.ts";
import { type BadEndpoint, detection, losses } from "./detection.ts";
import { meanRequestsToRun, runTails } from "./failure-run.ts";

function near(actual: number, expected: number, relative: number, what = ""): void {
  assert.ok(
    Math.abs(actual - expected) <= relative * Math.abs(expected),
    `${what} got ${actual}, wanted ${expected}`,
  );
}

interface Run {
  readonly ms: number;
  readonly lost: number;
}

/** One client until it ejects: Poisson requests, each with its retries, on endpoints picked at random. */
function watch(bad: BadEndpoint, retries: number, random: Random): Run {
  const { clientRequestsPerSecond, endpoints, consecutive, failureShare = 1 } = bad;
  let ms = 0;
  let lost = 0;
  let inARow = 0;
  for (;;) {
    ms -= (Math.log1p(-random()) * 1000) / clientRequestsPerSecond;
    let attempt = 0;
    for (; attempt <= retries; attempt++) {
      const isHit = inARow < consecutive && random() * endpoints < 1;
      if (!isHit) break;
      if (random() >= failureShare) {
        inARow = 0;
        break;
      }
      inARow++;
    }
    if (attempt > retries) lost++;
    if (inARow >= consecutive) return { ms, lost };
  }
}

function runs(bad: BadEndpoint, retries: number, count: number): Run[] {
  const random = seededRandom(5);
  return Array.from({ length: count }, () => watch(bad, retries, random));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

describe("a run of failures", () => {
  test("takes (1 − q^k) / ((1 − q)·q^k) requests on average", () => {
    assert.equal(Math.round(meanRequestsToRun(0.5, 5)), 62);
    assert.equal(Math.round(meanRequestsToRun(0.2, 5)), 3905);
    assert.equal(meanRequestsToRun(1, 5), 5);
    for (const q of [0.2, 0.5, 0.9])
      near(meanRequestsToRun(q, 4), (1 - q ** 4) / ((1 - q) * q ** 4), 1e-12);
  });

  test("has a distribution with that mean", () => {
    for (const q of [0.4, 0.8, 1]) {
      const tails = runTails(q, 3, 1e-14, 1e6);
      near(
        tails.reduce((sum, tail) => sum + tail, 0),
        meanRequestsToRun(q, 3),
        1e-9,
      );
    }
  });
});

describe("time to detect", () => {
  test("of a dead endpoint is Erlang: k·m/λ on average", () => {
    const found = detection({ clientRequestsPerSecond: 50, endpoints: 4, consecutive: 5 });
    assert.ok(found.kind === "detected");
    near(found.meanMs, 400, 1e-12);
    // Half of the chi-squared quantiles with 10 degrees of freedom, 3.940 and 18.307, times 80 ms.
    near(found.intervalMs.low, (3.9403 / 2) * 80, 1e-4);
    near(found.intervalMs.high, (18.307 / 2) * 80, 1e-4);
  });

  test("lies in its interval as often as it says, for dead and for gray endpoints", () => {
    for (const failureShare of [1, 0.6]) {
      const bad = { clientRequestsPerSecond: 80, endpoints: 3, consecutive: 4, failureShare };
      const found = detection(bad, 0.9);
      assert.ok(found.kind === "detected");
      const times = runs(bad, 0, 4000).map(({ ms }) => ms);
      near(mean(times), found.meanMs, 0.05);
      const { low, high } = found.intervalMs;
      const inside = times.filter((ms) => ms >= low && ms <= high).length / times.length;
      assert.ok(Math.abs(inside - 0.9) < 0.02, `${inside}`);
    }
  });

  test("of the last of many clients is longer than of one, and slow failures add to it", () => {
    const bad = { clientRequestsPerSecond: 50, endpoints: 4, consecutive: 5 };
    const one = detection(bad);
    const many = detection({ ...bad, clients: 20, failureMs: 100 });
    assert.ok(one.kind === "detected" && many.kind === "detected");
    near(many.meanMs, one.meanMs + 100, 1e-12);
    assert.ok(many.lastClientMs > one.intervalMs.high);
  });

  test("of rare failures is not to be waited for", () => {
    const found = detection({
      clientRequestsPerSecond: 50,
      endpoints: 4,
      consecutive: 5,
      failureShare: 0.05,
    });
    assert.ok(found.kind === "undetected" && found.requestsNeeded > 3e6);
    const never = detection({
      clientRequestsPerSecond: 50,
      endpoints: 4,
      consecutive: 500,
      failureShare: 0.001,
    });
    assert.ok(never.kind === "undetected" && Number.isFinite(never.requestsNeeded));
  });

  test("is the same whether many requests are counted or taken as memoryless", () => {
    const bad = { clientRequestsPerSecond: 1000, endpoints: 2, consecutive: 5 };
    // The number needed passes 5000, where the method changes, between these two.
    const [counted, memoryless] = [0.1905, 0.1895].map((failureShare) =>
      detection({ ...bad, failureShare }),
    );
    assert.ok(counted?.kind === "detected" && memoryless?.kind === "detected");
    assert.ok(counted.requestsSeen < 5000 && memoryless.requestsSeen > 5000);
    const scale = memoryless.requestsSeen / counted.requestsSeen;
    near(memoryless.intervalMs.low, counted.intervalMs.low * scale, 0.03);
    near(memoryless.intervalMs.high, counted.intervalMs.high * scale, 0.003);
  });
});

describe("requests lost", () => {
  test("without retries are k for each client", () => {
    const lost = losses({ clientRequestsPerSecond: 50, endpoints: 4, consecutive: 5, clients: 7 });
    assert.equal(lost.lostRequests, 35);
    assert.deepEqual(lost.lostInterval, { low: 35, high: 35 });
  });

  test("with retries are as few as the simulation says", () => {
    for (const retries of [1, 2])
      for (const endpoints of [2, 4]) {
        const bad = { clientRequestsPerSecond: 50, endpoints, consecutive: 5 };
        const simulated = mean(runs(bad, retries, 40_000).map(({ lost }) => lost));
        const { lostRequests } = losses(bad, retries);
        assert.ok(
          Math.abs(lostRequests - simulated) < 0.02,
          `${retries} of ${endpoints}: ${lostRequests}, ${simulated}`,
        );
      }
  });

  test("of a gray endpoint with retries are within a tenth of the simulation", () => {
    const bad = { clientRequestsPerSecond: 50, endpoints: 2, consecutive: 4, failureShare: 0.7 };
    const simulated = mean(runs(bad, 1, 20_000).map(({ lost }) => lost));
    near(losses(bad, 1).lostRequests, simulated, 0.1);
  });

  test("are none where retries avoid the hosts that were tried, and all where there is no other", () => {
    const bad = { clientRequestsPerSecond: 50, endpoints: 3, consecutive: 5 };
    assert.equal(losses(bad, 1, true).lostRequests, 0);
    assert.equal(losses({ ...bad, endpoints: 1 }, 0, true).lostRequests, 5);
  });

  test("include those that were under way", () => {
    const bad = { clientRequestsPerSecond: 40, endpoints: 2, consecutive: 5, failureMs: 1000 };
    assert.equal(losses(bad).lostRequests, 25);
  });
});

test("nonsense is refused in words", () => {
  assert.throws(
    () => detection({ clientRequestsPerSecond: 0, endpoints: 4, consecutive: 5 }),
    (error) =>
      error instanceof MeshError &&
      error.code === "reliability.domain" &&
      error.message === "the client's requests per second must be above 0, got 0",
  );
});
