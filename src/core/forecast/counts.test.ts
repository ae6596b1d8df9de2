import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  atStation,
  countsOf,
  meanOf,
  noFewerThan,
  poisson,
  quantileOf,
  sumOf,
  sumOfAlike,
  thinned,
} from "./counts.ts";

const near = (a: number, b: number) =>
  assert.ok(Math.abs(a - b) <= 1e-6 * Math.max(1, b), `${a}, wanted ${b}`);

describe("counts", () => {
  test("of a station with one worker are geometric, a caller's part of them too", () => {
    const all = atStation(0.5, 1);
    for (const [n, share] of all.slice(0, 10).entries()) near(share, 0.5 ** (n + 1));
    const part = thinned(all, 0.25);
    near(meanOf(part), 0.25);
    for (const [n, share] of part.slice(0, 6).entries()) near(share, 0.8 * 0.2 ** n);
  });

  test("of a station with more workers than work are as many as come on average", () => {
    near(meanOf(atStation(3, 100)), 3);
    near(poisson(3)[0] ?? 0, Math.exp(-3));
  });

  test("add up, of many alike as of one after the other", () => {
    near(meanOf(sumOf(poisson(2), poisson(3))), 5);
    const one = countsOf([1, 2, 1]);
    assert.deepEqual(sumOfAlike(one, 0), [1]);
    for (const [n, share] of sumOf(sumOf(one, one), one).entries()) {
      near(sumOfAlike(one, 3)[n] ?? 0, share);
    }
  });

  test("that are raised to a least number have nothing below it", () => {
    assert.deepEqual(noFewerThan(2, [0.5, 0.25, 0.125, 0.125]), [0, 0, 0.875, 0.125]);
    assert.deepEqual(noFewerThan(2, [1]), [0, 0, 1]);
    assert.equal(quantileOf([0, 0, 0.875, 0.125], 0.875), 2);
  });

  test("are numbers for whatever load, of however many", () => {
    const stations = [atStation(0, 1), atStation(1e-9, 1), atStation(50, 1), atStation(300, 400)];
    for (const counts of [...stations.map((all) => thinned(all, 1 / 500)), poisson(30)]) {
      const lost = sumOfAlike(noFewerThan(5, counts), 500);
      near(
        lost.reduce((sum, share) => sum + share, 0),
        1,
      );
      assert.ok(quantileOf(lost, 0.01) >= 2_500 && Number.isFinite(meanOf(lost)));
    }
  });
});
