import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import { forecastConnections } from "./occupancy.ts";

const losses = { dropped: 0, insertFailed: 0, earlyDropped: 0 };

describe("the forecast of tracked connections", () => {
  test("says nothing of growth before half a minute is seen", () => {
    const samples = Array.from({ length: 20 }, (_, s) => ({ at: s * 1_000, count: s }));
    const forecast = forecastConnections("a", { max: 100, samples, ...losses });
    assert.deepEqual(forecast, { node: "a", count: 19, max: 100 });
    assert.equal(forecastConnections("a", { max: 100, samples: [], ...losses }).count, 0);
  });

  test("of a steady growth is when the rest is used up", () => {
    const samples = Array.from({ length: 121 }, (_, s) => ({ at: s * 1_000, count: 10 * s }));
    const { growth, full } = forecastConnections("a", { max: 2_200, samples, ...losses });
    assert.ok(Math.abs((growth?.mean ?? 0) - 10) < 0.1);
    assert.ok(Math.abs((full?.early ?? 0) - 100) < 2 && Math.abs((full?.late ?? 0) - 100) < 2);
  });

  test("has an interval that holds the true growth nine times in ten", () => {
    const random = seededRandom(3);
    const runs = 400;
    let held = 0;
    for (let run = 0; run < runs; run++) {
      const samples = Array.from({ length: 300 }, (_, s) => ({
        at: s * 1_000,
        count: 5_000 + 4 * s + 400 * (random() + random() + random() - 1.5),
      }));
      const { growth } = forecastConnections("a", { max: 100_000, samples, ...losses });
      if (growth !== undefined && growth.low <= 4 && growth.high >= 4) held++;
    }
    assert.ok(held / runs > 0.86 && held / runs < 0.96, `${held} of ${runs}`);
  });
});
