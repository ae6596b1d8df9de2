import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  bucketCount,
  bucketOf,
  countOf,
  increase,
  LogHistogram,
  lowerMs,
  packed,
  quantileMs,
  sum,
  unpacked,
  upperMs,
} from "./log-histogram.ts";

describe("a bucket", () => {
  test("holds every duration between its bounds, and each bound begins its own", () => {
    for (let bucket = 1; bucket < bucketCount - 1; bucket++) {
      const from = lowerMs(bucket);
      const to = upperMs(bucket);
      assert.equal(bucketOf(from * 1.000001), bucket, `just above ${from}`);
      assert.equal(bucketOf((from + to) / 2), bucket, `amid ${from} and ${to}`);
      assert.equal(bucketOf(to * 0.999999), bucket, `just below ${to}`);
      assert.ok((to - from) / from <= 0.1250001);
    }
  });

  test("takes what is no sensible duration, too", () => {
    for (const ms of [Number.NaN, -1, 0, 0.049, -Infinity]) assert.equal(bucketOf(ms), 0);
    for (const ms of [3_600_000, 1e12, Infinity]) assert.equal(bucketOf(ms), bucketCount - 1);
  });
});

describe("a quantile", () => {
  test("is within three per cent of the exact one, from microseconds to minutes", () => {
    for (const scaleMs of [0.3, 4, 70, 2_000, 90_000]) {
      const values = Array.from(
        { length: 5_000 },
        (_, i) => -scaleMs * Math.log(1 - (i + 0.5) / 5_000),
      );
      const histogram = new LogHistogram();
      for (const ms of values) histogram.observe(ms);
      for (const q of [0.5, 0.9, 0.99]) {
        const exact = -scaleMs * Math.log(1 - q);
        const found = quantileMs(q, histogram.sparse()) ?? 0;
        assert.ok(Math.abs(found - exact) < 0.03 * exact, `q ${q} of ${scaleMs}: ${found}`);
      }
    }
  });

  test("of nothing is unknown", () => {
    assert.equal(quantileMs(0.5, []), undefined);
  });

  test("of one observation lies in its bucket", () => {
    const ms = quantileMs(0.5, [[bucketOf(10), 1]]) ?? 0;
    assert.ok(ms >= lowerMs(bucketOf(10)) && ms <= upperMs(bucketOf(10)));
  });
});

describe("histograms", () => {
  test("are the same packed and unpacked", () => {
    const histogram = [
      [0, 1],
      [9, 123_456],
      [bucketCount - 1, 8_388_607],
    ] as const;
    assert.deepEqual(unpacked(packed(histogram)), histogram);
    assert.deepEqual(unpacked(packed([[7, 2 ** 30]])), [[7, 2 ** 23 - 1]]);
  });

  test("add up and subtract bucket by bucket", () => {
    const total = sum([
      [
        [3, 1],
        [9, 2],
      ],
      [[9, 5]],
      [[bucketCount, 7]], // no bucket of ours
    ]);
    assert.deepEqual(total, [
      [3, 1],
      [9, 7],
    ]);
    assert.equal(countOf(total), 8);
    assert.deepEqual(increase([[9, 2]], total), [
      [3, 1],
      [9, 5],
    ]);
  });
});
