/** Least request beyond two draws: a look at all hosts, and a load that weighs more or less than weights do. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../base/random.ts";
import type { BalancerPolicy } from "../../../model/proxy-config.ts";
import { type Candidate, createPicker } from "./picker.ts";

interface Host extends Candidate {
  active: number;
}

const host = (weight: number, index: number): Host => ({
  key: `10.0.0.${index}:80`,
  weight,
  active: 0,
  strain: 1,
  latencyMs: 10,
});

/** What each gets of `count` requests that are over at once, or that all stay. */
function shares(
  more: Omit<Extract<BalancerPolicy, { kind: "least-request" }>, "kind">,
  candidates: readonly Host[],
  count: number,
  stays = false,
): readonly number[] {
  const picker = createPicker({ kind: "least-request", ...more }, candidates, seededRandom(7));
  const got = new Map<Host | undefined, number>();
  for (let i = 0; i < count; i++) {
    const picked = picker.pick();
    got.set(picked, (got.get(picked) ?? 0) + 1);
    if (stays && picked !== undefined) picked.active++;
  }
  return candidates.map((each) => got.get(each) ?? 0);
}

describe("least request of all hosts", () => {
  test("never passes by the least busy one", () => {
    const candidates = [1, 1, 1, 1, 1].map(host);
    for (const [at, each] of candidates.entries()) each.active = at === 3 ? 1 : 2;
    assert.deepEqual(shares({ choices: "all" }, candidates, 100), [0, 0, 0, 100, 0]);
  });

  test("fills all evenly, to the request", () => {
    const candidates = [1, 1, 1].map(host);
    assert.deepEqual(shares({ choices: "all" }, candidates, 300, true), [100, 100, 100]);
  });

  test("leaves it to chance who of several is the least busy", () => {
    for (const share of shares({ choices: "all" }, [1, 1, 1].map(host), 3_000)) {
      assert.ok(Math.abs(share - 1_000) < 120, `${share} of 3000`);
    }
  });

  test("goes by weight where weights differ", () => {
    assert.deepEqual(shares({ choices: "all" }, [1, 3].map(host), 400), [100, 300]);
    // Three times the weight bears three times the load, and one more for what comes.
    const [light = 0, heavy = 0] = shares({ choices: "all" }, [1, 3].map(host), 400, true);
    assert.ok(heavy > 1.6 * light && heavy < 1.9 * light, `${light} and ${heavy}`);
  });
});

test("least request with four billion draws does not stand still over one pick", () => {
  let drawn = 0;
  const even = seededRandom(7);
  const random = () => {
    assert.ok(++drawn <= 1_000, "more than a thousand draws");
    return even();
  };
  const candidates = [1, 1, 1, 1].map(host);
  for (const each of candidates.slice(1)) each.active = 1;
  const picker = createPicker({ kind: "least-request", choices: 2 ** 32 - 1 }, candidates, random);
  assert.equal(picker.pick(), candidates[0]);
});

describe("least request with a bias", () => {
  const parts = (bias: number) => {
    const candidates = [4, 1].map(host);
    const [busy] = candidates;
    if (busy !== undefined) busy.active = 1;
    return shares({ bias }, candidates, 1_000).map((share) => Math.round(share / 10));
  };

  test("of 0 goes by weight alone, and of more by load so much more", () => {
    assert.deepEqual(parts(0), [80, 20]); // 4 : 1
    assert.deepEqual(parts(0.5), [74, 26]); // 4 / √2 : 1
    assert.deepEqual(parts(2), [50, 50]); // 4 / 2² : 1
    assert.deepEqual(parts(3), [33, 67]); // 4 / 2³ : 1
  });

  test("says nothing where all weights are the same", () => {
    const candidates = [1, 1, 1, 1].map(host);
    const [busy] = candidates;
    if (busy !== undefined) busy.active = 10;
    const [first = 0] = shares({ bias: 0 }, candidates, 1_600);
    assert.ok(first < 150, `${first} picks of the busy host`);
  });
});
