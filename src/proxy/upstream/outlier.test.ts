import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { OutlierDetection } from "../../model/proxy-config.ts";
import { healthy, OutlierDetector, type Watched } from "./outlier.ts";

const base: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 0,
  intervalMs: 1_000,
  baseEjectionMs: 5_000,
  maxEjectionPercent: 50,
};

function setUp(more: Partial<OutlierDetection> = {}, count = 4) {
  const clock = { ms: 0 };
  const hosts: Watched[] = Array.from({ length: count }, () => ({ health: healthy() }));
  const config = { ...base, ...more };
  const detector = new OutlierDetector(
    config,
    () => hosts,
    () => clock.ms,
    () => {},
  );
  const isOut = (index: number) => (hosts[index]?.health.ejectedUntil ?? 0) > 0;
  const answer = (index: number, ...statuses: readonly number[]) => {
    for (const status of statuses) detector.onStatus(hosts[index] ?? { health: healthy() }, status);
  };
  const fail = (index: number) =>
    detector.onFailure(hosts[index] ?? { health: healthy() }, "reset");
  return { clock, hosts, detector, isOut, answer, fail };
}

describe("outlier detection", () => {
  test("ejects after so many failures in a row, whatever the sort, and a success breaks the row", () => {
    const { isOut, answer, fail } = setUp();
    answer(0, 500, 503, 200, 500, 503);
    assert(!isOut(0));
    fail(0);
    assert(isOut(0));
  });

  test("counts gateway errors in a row by themselves", () => {
    const { isOut, answer } = setUp({ consecutive5xx: 0, consecutiveGatewayErrors: 2 });
    answer(0, 502, 500, 502);
    assert(!isOut(0));
    answer(0, 504);
    assert(isOut(0));
  });

  test("counts what never got an answer by itself where that is asked for", () => {
    const { isOut, answer, fail } = setUp({ consecutiveLocalOrigin: 2 });
    answer(0, 500, 500);
    fail(0);
    assert(!isOut(0), "two 5xx and a reset are neither three nor two");
    fail(0);
    assert(isOut(0));
  });

  test("ejects for as long as is asked for, though that is longer than five minutes", () => {
    const { clock, detector, isOut, answer } = setUp({ baseEjectionMs: 1_200_000 });
    answer(0, 500, 500, 500);
    clock.ms = 1_199_999;
    detector.review();
    assert(isOut(0));
    clock.ms++;
    detector.review();
    assert(!isOut(0));
  });

  test("takes the statuses that are named for failures, and no other", () => {
    const { isOut, answer } = setUp({ failureStatuses: [429] });
    answer(0, 500, 500, 500);
    answer(1, 429, 429, 429);
    assert.deepEqual([isOut(0), isOut(1)], [false, true]);
  });

  test("ejects at most the allowed part of the hosts, but always one", () => {
    const few = setUp({ maxEjectionPercent: 1 });
    for (const index of [0, 1]) few.answer(index, 500, 500, 500);
    assert.deepEqual([0, 1].map(few.isOut), [true, false]);
    const half = setUp({ maxEjectionPercent: 50 });
    for (const index of [0, 1, 2]) half.answer(index, 500, 500, 500);
    assert.deepEqual([0, 1, 2].map(half.isOut), [true, true, false]);
  });

  test("ejects a host that does worse than the others, by success rate", () => {
    const statistics = { minimumHosts: 3, minimumRequests: 20 };
    const { detector, isOut, answer } = setUp(
      { consecutive5xx: 0, successRate: { ...statistics, deviations: 1.9 } },
      8,
    );
    for (let request = 0; request < 40; request++) {
      for (let host = 0; host < 8; host++)
        answer(host, host === 2 && request % 3 === 0 ? 500 : 200);
    }
    detector.review();
    assert.deepEqual(Array.from({ length: 8 }, (_, index) => index).filter(isOut), [2]);
  });

  test("ejects hosts by failure percentage, once they have said enough", () => {
    const statistics = { minimumHosts: 2, minimumRequests: 10 };
    const { detector, isOut, answer } = setUp({
      consecutive5xx: 0,
      failurePercentage: { ...statistics, percent: 60 },
    });
    for (let request = 0; request < 10; request++) {
      answer(0, request < 6 ? 500 : 200);
      answer(1, request < 5 ? 500 : 200);
      if (request < 9) answer(2, 500);
    }
    detector.review();
    assert.deepEqual([0, 1, 2].map(isOut), [true, false, false]);
  });

  test("lets a host back on probation: one success frees it, one failure ejects it for longer", () => {
    const { clock, hosts, detector, isOut, answer } = setUp();
    const health = hosts[0]?.health ?? healthy();
    answer(0, 500, 500, 500);
    clock.ms = 5_000;
    detector.review();
    assert.deepEqual([isOut(0), health.isOnProbation], [false, true]);
    answer(0, 500);
    assert(isOut(0), "one failure is enough");
    assert.equal(health.ejectedUntil, 15_000);
    clock.ms = 15_000;
    detector.review();
    answer(0, 200);
    assert.deepEqual([isOut(0), health.isOnProbation], [false, false]);
    answer(0, 500, 500);
    assert(!isOut(0), "it has its whole row again");
  });

  test("forgets an earlier ejection for each interval without trouble", () => {
    const { clock, hosts, detector, answer } = setUp();
    const health = hosts[0]?.health ?? healthy();
    answer(0, 500, 500, 500);
    clock.ms = 5_000;
    detector.review();
    answer(0, 200);
    detector.review();
    assert.equal(health.ejections, 0);
  });
});
