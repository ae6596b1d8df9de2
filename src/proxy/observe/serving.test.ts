import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { countOf } from "../../base/log-histogram.ts";
import { ServingTally } from "./serving.ts";

describe("what a pod serves", () => {
  test("has exactly the service times of a worker that serves in order of arrival", () => {
    const services = [5, 12, 3, 8, 1, 20, 2];
    const arrivals = [0, 4, 6, 40, 41, 42, 90];
    const found = new Map<number, number>();
    const events: { at: number; arrivedAt?: number }[] = [];
    let freeAt = 0;
    for (const [i, arrivedAt] of arrivals.entries()) {
      freeAt = Math.max(arrivedAt, freeAt) + (services[i] ?? 0);
      events.push({ at: arrivedAt }, { at: freeAt, arrivedAt });
    }
    const tally = new ServingTally("shop/web-0", "shop/web");
    for (const { at, arrivedAt } of events.sort((a, b) => a.at - b.at)) {
      if (arrivedAt === undefined) found.set(at, tally.arrive(at));
      else tally.depart(arrivedAt, at, found.get(arrivedAt) ?? 0, false);
    }
    const counts = tally.counts(200);
    assert.equal(counts.requests, 7);
    assert.equal(counts.serviceSumMs, 51);
    assert.equal(counts.serviceSquareSumMs2, 25 + 144 + 9 + 64 + 1 + 400 + 4);
    assert.equal(counts.busyMs, 51, "one worker is busy for as long as it serves");
    assert.equal(countOf(counts.services), 7);
    // Departures at 5, 17, 20, 48, 49, 69 and 92: by Little's law the integral is the sum of all responses.
    assert.equal(counts.inFlightMs, 5 + 13 + 14 + 8 + 8 + 27 + 2);
    assert.equal(counts.responseSumMs, counts.inFlightMs);
    // Those that came at 4, 6 and 41 found one other, the one at 42 two.
    assert.deepEqual(counts.found, [
      [3, 5 + 8 + 2, 25 + 64 + 4],
      [3, 13 + 14 + 8, 13 ** 2 + 14 ** 2 + 8 ** 2],
      [1, 27, 27 ** 2],
    ]);
    assert.deepEqual([counts.gaps, counts.gapSumMs], [6, 90]);
    assert.equal(counts.gapSquareSumMs2, 16 + 4 + 34 ** 2 + 1 + 1 + 48 ** 2);
  });

  test("is busy once however many requests overlap, and while none has been answered yet", () => {
    const tally = new ServingTally("shop/web-0", "shop/web");
    tally.arrive(0);
    tally.arrive(10);
    tally.depart(10, 30, 1, true);
    const early = tally.counts(50);
    assert.deepEqual(
      [early.busyMs, early.inFlightMs, early.requests, early.failed],
      [50, 70, 1, 1],
    );
    tally.depart(0, 60, 0, false);
    const late = tally.counts(100);
    assert.deepEqual([late.busyMs, late.inFlightMs, late.requests], [60, 80, 2]);
  });
});
