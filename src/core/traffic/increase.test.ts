import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SidecarObservation } from "../../model/observation.ts";
import { Readings } from "./increase.ts";
import { edge, served } from "./testdata.ts";

function reading(start: string, startedAt: number, requests: number): SidecarObservation {
  return {
    start,
    startedAt,
    edges: [
      edge("shop/web", "shop/cart", requests),
      edge("shop/web", "shop/idle", 0, { codes: {} }),
    ],
    serving: [served("shop/web-1", "shop/web", requests)],
    losses: [],
  };
}

describe("what happened between two readings", () => {
  const moved = (readings: Readings, each: SidecarObservation, sidecar = "a") =>
    readings.advance(sidecar, each).edges.map(({ codes }) => codes["200"]);

  test("is the difference, and nothing for what did not move", () => {
    const readings = new Readings(1_000);
    assert.deepEqual(moved(readings, reading("x", 1_500, 10)), [10]);
    assert.deepEqual(moved(readings, reading("x", 1_500, 15)), [5]);
    assert.deepEqual(moved(readings, reading("x", 1_500, 15)), []);
    const { serving } = readings.advance("a", reading("x", 1_500, 18));
    assert.deepEqual([serving[0]?.requests, serving[0]?.serviceSumMs], [3, 15]);
    assert.equal(serving[0]?.responses[0]?.[1], 3);
  });

  test("counts a sidecar that started anew from nothing, even where it has counted more by now", () => {
    const readings = new Readings(1_000);
    readings.advance("a", reading("x", 500, 10));
    assert.deepEqual(moved(readings, reading("y", 2_000, 12)), [12]);
  });

  test("knows nothing of the past of a sidecar that was there before the reader", () => {
    const readings = new Readings(1_000);
    assert.deepEqual(moved(readings, reading("x", 999, 10_000)), []);
    assert.deepEqual(moved(readings, reading("x", 999, 10_007)), [7]);
  });

  test("keeps sidecars apart and forgets those that are gone", () => {
    const readings = new Readings(1_000);
    readings.advance("a", reading("x", 1_500, 10));
    assert.deepEqual(moved(readings, reading("y", 1_500, 3), "b"), [3]);
    readings.retain(new Set(["b"]));
    assert.deepEqual(moved(readings, reading("x", 1_500, 11)), [11]);
  });
});
