import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatMs, formatPair, formatRate, formatShare } from "./format.ts";

describe("a number", () => {
  test("is never all or nothing when it is not", () => {
    assert.equal(formatShare(1), "100%");
    assert.equal(formatShare(0.99999), ">99.9%");
    assert.equal(formatShare(0.995), "99.5%");
    assert.equal(formatShare(0.00001), "<0.1%");
    assert.equal(formatShare(0), "0%");
    assert.equal(formatRate(0.01), "<0.1 req/s");
    assert.equal(formatRate(0), "0 req/s");
  });

  test("that is not known is a dash", () => {
    assert.deepEqual([formatShare(undefined), formatMs(undefined)], ["–", "–"]);
  });

  test("says its unit, once where two have the same", () => {
    assert.equal(formatMs(0.34), "0.34 ms");
    assert.equal(formatMs(1_234), "1.2 s");
    assert.equal(formatPair(4.13, 30), "4.1 / 30 ms");
    assert.equal(formatPair(4.13, 1_500), "4.1 ms / 1.5 s");
  });
});
