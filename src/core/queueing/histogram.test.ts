/** Buckets: quantiles out of them, differences of them, and predictions put through them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { between, quantile, throughBuckets } from "./histogram.ts";
import { mm1 } from "./mmc.ts";

const buckets = [
  { upTo: Number.POSITIVE_INFINITY, count: 10 },
  { upTo: 5, count: 4 },
  { upTo: 10, count: 8 },
];

describe("a histogram", () => {
  test("has quantiles interpolated inside their bucket, and the last bound at most", () => {
    assert.equal(quantile(0.2, buckets), 2.5);
    assert.equal(quantile(0.6, buckets), 7.5);
    assert.equal(quantile(0.99, buckets), 10);
    assert.equal(quantile(0.5, []), undefined);
  });

  test("between two readings holds what came in between, also after a restart", () => {
    const later = [
      { upTo: 5, count: 6 },
      { upTo: 10, count: 9 },
      { upTo: Number.POSITIVE_INFINITY, count: 12 },
    ];
    assert.deepEqual(
      between(buckets, later).map(({ count }) => count),
      [2, 1, 2],
    );
    assert.deepEqual(
      between(later, buckets).map(({ count }) => count),
      [4, 8, 10],
    );
  });

  test("shows a prediction as the same buckets would show the measured", () => {
    const response = mm1({ arrivalsPerSecond: 50, serviceMs: 10 });
    assert.ok(response.kind === "steady");
    const seen = throughBuckets(
      response,
      [5, 10, 25, 50, 100, 250, Number.POSITIVE_INFINITY],
      1000,
    );
    assert.equal(seen.at(-1)?.count, 1000);
    assert.ok(Math.abs((seen[1]?.count ?? 0) - 1000 * (1 - response.tail(10))) < 1e-9);
    const p99 = quantile(0.99, seen) ?? 0;
    assert.ok(p99 > 50 && p99 < 100 && Math.abs(p99 - response.quantileMs(0.99)) > 1);
  });
});
