import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../base/random.ts";
import type { BalancerPolicy } from "../../../model/proxy-config.ts";
import { createPicker } from "./picker.ts";

interface Host {
  readonly name: string;
  readonly weight: number;
  active: number;
}

const hosts = (...weights: readonly number[]): Host[] =>
  weights.map((weight, index) => ({ name: `h${index}`, weight, active: 0 }));

/** How often each host is picked in `count` picks. */
function shares(policy: BalancerPolicy, candidates: readonly Host[], count: number): number[] {
  const picker = createPicker(policy, candidates, seededRandom(42));
  const picked = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const name = picker.pick()?.name ?? "";
    picked.set(name, (picked.get(name) ?? 0) + 1);
  }
  return candidates.map(({ name }) => picked.get(name) ?? 0);
}

for (const kind of ["least-request", "round-robin", "random"] as const) {
  describe(`the ${kind} balancer`, () => {
    test("has nobody to pick of nobody, and picks the only one", () => {
      assert.equal(createPicker({ kind }, [], seededRandom(1)).pick(), undefined);
      assert.equal(createPicker({ kind }, hosts(0), seededRandom(1)).pick(), undefined);
      assert.deepEqual(shares({ kind }, hosts(1), 5), [5]);
    });

    test("picks in proportion to weights, and never a host without any", () => {
      const [a = 0, b = 0, c = 0, d = 0] = shares({ kind }, hosts(1, 2, 3, 0), 6_000);
      assert.equal(d, 0);
      for (const [share, wanted] of [
        [a, 1_000],
        [b, 2_000],
        [c, 3_000],
      ] as const) {
        assert(Math.abs(share - wanted) < 200, `${share} picks, want about ${wanted}`);
      }
    });
  });
}

describe("round robin", () => {
  test("visits all before it comes back to one", () => {
    assert.deepEqual(shares({ kind: "round-robin" }, hosts(1, 1, 1), 9), [3, 3, 3]);
  });
});

describe("least request", () => {
  test("leaves a host alone that has more to do than the others", () => {
    const candidates = hosts(1, 1, 1, 1);
    const [busy] = candidates;
    if (busy !== undefined) busy.active = 10;
    const [first = 0] = shares({ kind: "least-request" }, candidates, 1_600);
    assert(first < 150, `${first} picks of the busy host`); // both draws must hit it: 1 in 16
  });
});
