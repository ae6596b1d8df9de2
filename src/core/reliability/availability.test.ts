/** Availability: k of n, Markov chains, flapping hosts and occupancy, against closed forms and each other. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import { type Flapping, flapping } from "./flapping.ts";
import { kOfN, kOfNLacking } from "./k-of-n.ts";
import { availability, meanTimeTo, repairable, solve } from "./markov.ts";
import { fullAt, occupancy, sizeFor } from "./occupancy.ts";

function near(actual: number, expected: number, relative: number): void {
  assert.ok(
    Math.abs(actual - expected) <= relative * Math.abs(expected),
    `got ${actual}, wanted ${expected}`,
  );
}

describe("k of n", () => {
  test("has the binomial's values, also far in its tails", () => {
    near(kOfN(2, 3, 0.9), 0.972, 1e-12);
    near(kOfN(1, 2, 0.99), 0.9999, 1e-12);
    near(kOfNLacking(1, 4, 0.999), 1e-12, 1e-9);
    assert.equal(kOfN(0, 3, 0), 1);
    assert.equal(kOfN(3, 3, 1), 1);
    assert.throws(() => kOfN(4, 3, 0.9), /4 replicas are needed, and there are only 3/);
  });

  test("is what the Markov chain of independent repairs settles at", () => {
    for (const [needed, replicas] of [
      [1, 2],
      [2, 3],
      [5, 8],
    ] as const) {
      const system = { replicas, needed, meanTimeToFailure: 1000, meanTimeToRepair: 2 };
      const settled = availability(repairable(system));
      near(settled.unavailability, kOfNLacking(needed, replicas, 1000 / 1002), 1e-10);
    }
  });
});

describe("a Markov chain", () => {
  test("of one host has MTTF / (MTTF + MTTR)", () => {
    const one = availability(
      repairable({ replicas: 1, needed: 1, meanTimeToFailure: 99, meanTimeToRepair: 1 }),
    );
    near(one.availability, 0.99, 1e-14);
    near(one.meanUp, 99, 1e-12);
    near(one.meanDown, 1, 1e-12);
  });

  test("of two parallel hosts has a mean time to total failure of (3λ + μ) / 2λ²", () => {
    const chain = repairable({
      replicas: 2,
      needed: 1,
      meanTimeToFailure: 100,
      meanTimeToRepair: 4,
    });
    const [fromAll, fromOne, down] = meanTimeTo(chain, new Set([2]));
    near(fromAll ?? 0, (3 * 0.01 + 0.25) / (2 * 0.01 ** 2), 1e-12);
    near(fromOne ?? 0, (2 * 0.01 + 0.25) / (2 * 0.01 ** 2), 1e-12);
    assert.equal(down, 0);
  });

  test("with a single repairer is down for longer", () => {
    const system = { replicas: 4, needed: 2, meanTimeToFailure: 50, meanTimeToRepair: 5 };
    const many = availability(repairable(system));
    const single = availability(repairable({ ...system, repairers: 1 }));
    assert.ok(single.unavailability > many.unavailability && single.meanDown > many.meanDown);
  });

  test("solves what needs pivoting, and refuses what has no single solution", () => {
    const [x, y] = solve([[0, 2], [3, 1]], [4, 5]); // biome-ignore format: a matrix
    near(x ?? 0, 1, 1e-14);
    near(y ?? 0, 2, 1e-14);
    const stuck = { rates: [[0, 0], [0, 0]], isUp: [true, false] }; // biome-ignore format: a matrix
    assert.throws(() => meanTimeTo(stuck, new Set([1])), /unreachable/);
    assert.throws(() => availability(stuck), /never leads back/);
  });
});

/** The process that `flapping` describes, step by step. */
function simulateFlapping(host: Flapping, cycles: number): Record<string, number> {
  const random = seededRandom(9);
  const draw = (meanMs: number): number => -Math.log1p(-random()) * meanMs;
  const {
    meanUpMs,
    meanDownMs,
    detectionMs,
    baseEjectionMs,
    longestEjectionMs = 300_000,
    intervalMs = 10_000,
  } = host;
  const total = { serving: 0, failing: 0, idle: 0, shielded: 0 };
  let ejections = 0;
  let isUp = true;
  for (let i = 0; i < cycles; i++) {
    if (isUp) {
      let left = draw(meanUpMs);
      total.serving += left;
      for (left -= draw(intervalMs); left > 0 && ejections > 0; left -= draw(intervalMs))
        ejections--;
      isUp = false;
      continue;
    }
    const recovers = draw(meanDownMs);
    const noticed = draw(detectionMs);
    total.failing += Math.min(recovers, noticed);
    isUp = recovers < noticed;
    if (isUp) continue;
    ejections++;
    let out = Math.min(baseEjectionMs * ejections, longestEjectionMs);
    while (out > 0) {
      const stays = draw(isUp ? meanUpMs : meanDownMs);
      if (isUp) total.idle += Math.min(out, stays);
      else total.shielded += Math.min(out, stays);
      if (stays < out) isUp = !isUp;
      out -= stays;
    }
  }
  const all = total.serving + total.failing + total.idle + total.shielded;
  return Object.fromEntries(Object.entries(total).map(([name, ms]) => [name, ms / all]));
}

describe("a flapping host", () => {
  test("has the shares of time that a simulation finds", () => {
    const host = {
      meanUpMs: 20_000,
      meanDownMs: 8000,
      detectionMs: 500,
      baseEjectionMs: 5000,
      longestEjectionMs: 60_000,
    };
    const shares = flapping(host);
    const simulated = simulateFlapping(host, 300_000);
    for (const name of ["serving", "failing", "idle", "shielded"] as const)
      assert.ok(
        Math.abs(shares[name] - (simulated[name] ?? 0)) < 0.005,
        `${name}: ${shares[name]}, ${simulated[name]}`,
      );
    near(shares.serving + shares.failing + shares.idle + shares.shielded, 1, 1e-12);
  });

  test("that is hardly ever noticed is available as without ejection", () => {
    const shares = flapping({
      meanUpMs: 9000,
      meanDownMs: 1000,
      detectionMs: 1e12,
      baseEjectionMs: 30_000,
    });
    near(shares.availabilityInService, 0.9, 1e-6);
    assert.ok(shares.idle < 1e-6);
  });

  test("fails its callers less the faster it is noticed", () => {
    const host = { meanUpMs: 60_000, meanDownMs: 20_000, baseEjectionMs: 30_000 };
    const fast = flapping({ ...host, detectionMs: 200 });
    const slow = flapping({ ...host, detectionMs: 5000 });
    assert.ok(
      fast.failing < slow.failing && fast.availabilityInService > slow.availabilityInService,
    );
  });
});

describe("occupancy", () => {
  test("is rate times holding time", () => {
    assert.equal(occupancy(500, 120_000), 60_000);
    assert.equal(fullAt(262_144, 120_000), 262_144 / 120);
  });

  test("is seldom beyond the size for a share of time", () => {
    assert.equal(sizeFor(10, 1000, 0.99), 18); // Poisson(10): P(≤ 17) = 0.9857, P(≤ 18) = 0.9928
    assert.equal(sizeFor(1, 1000, 0.5), 1);
    assert.equal(sizeFor(0, 1000, 0.5), 0);
    const large = sizeFor(1000, 100_000, 0.99);
    near(large, 100_000 + 2.326 * Math.sqrt(100_000), 1e-3);
  });
});
