import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../base/random.ts";
import type { BalancerPolicy } from "../../../model/proxy-config.ts";
import { hashText } from "./hash.ts";
import { type Levelling, levelPicker, type Placed, priorityLoads } from "./levels.ts";

const levelling: Levelling = {
  overprovisioningPercent: 140,
  panicPercent: 0,
  isLocalityWeighted: false,
};

/** Whole percents of traffic, where so many percents of each priority's hosts are usable. */
function loads(usable: readonly number[], more: Partial<Levelling> = {}): string {
  const levels = usable.map((percent) => ({ usable: percent, total: 100 }));
  return priorityLoads(levels, { ...levelling, ...more })
    .map(({ share, panics }) => `${Math.round(share * 100)}${panics ? "!" : ""}`)
    .join(" ");
}

describe("the load of priorities", () => {
  // Envoy's published examples.
  const table: readonly (readonly [usable: readonly number[], loads: string])[] = [
    [[100, 100], "100 0"],
    [[72, 100], "100 0"],
    [[71, 100], "99 1"],
    [[50, 100], "70 30"],
    [[25, 100], "35 65"],
    [[0, 100], "0 100"],
    [[25, 25], "50 50"],
    [[100, 100, 100], "100 0 0"],
    [[72, 72, 100], "100 0 0"],
    [[71, 71, 100], "99 1 0"],
    [[50, 50, 100], "70 30 0"],
    [[25, 100, 100], "35 65 0"],
    [[25, 25, 100], "35 35 30"],
    [[0, 0], "0 0"],
  ];
  for (const [usable, wanted] of table) {
    test(`with ${usable.join(", ")} % usable is ${wanted}`, () => {
      assert.equal(loads(usable), wanted);
    });
  }

  test("uses everybody of a priority below its threshold, once all together are not enough", () => {
    assert.equal(loads([10, 100], { panicPercent: 50 }), "14 86", "the second carries the rest");
    assert.equal(loads([10, 55], { panicPercent: 50 }), "15! 85");
    assert.equal(loads([10, 10], { panicPercent: 50 }), "50! 50!");
  });
});

class TestHost implements Placed {
  readonly weight = 1;
  readonly active = 0;
  readonly strain = 1;
  readonly latencyMs = 1;
  readonly key: string;
  readonly priority: number;
  readonly locality: string;
  readonly localityWeight: number;
  isUsable = true;

  constructor(index: number, priority: number, locality = "", localityWeight = 1) {
    this.key = `10.0.0.${index}:80`;
    this.priority = priority;
    this.locality = locality;
    this.localityWeight = localityWeight;
  }
}

function picks(
  hosts: readonly TestHost[],
  more: Partial<Levelling> = {},
  policy: BalancerPolicy = { kind: "least-request" },
): (host: (one: TestHost) => string) => Readonly<Record<string, number>> {
  const picker = levelPicker(policy, hosts, { ...levelling, ...more }, seededRandom(3));
  return (of) => {
    const counts: Record<string, number> = {};
    for (let i = 0; i < 10_000; i++) {
      const host = picker.pick(hashText(`key ${i}`));
      if (host !== undefined) counts[of(host)] = (counts[of(host)] ?? 0) + 1;
    }
    return counts;
  };
}

function near(found: number | undefined, wanted: number): void {
  assert(Math.abs((found ?? 0) - wanted) < 150, `${found} of 10 000, want ${wanted}`);
}

describe("a picker over priorities", () => {
  const policies: readonly BalancerPolicy[] = [
    { kind: "least-request" },
    { kind: "round-robin" },
    { kind: "ring-hash", minimumRingSize: 4_096 },
    { kind: "maglev", tableSize: 65_537 },
  ];
  for (const policy of policies) {
    test(`moves what the first cannot carry, and no more, to the second (${policy.kind})`, () => {
      const hosts = [0, 0, 0, 0, 1, 1].map((priority, index) => new TestHost(index, priority));
      const first = picks(hosts, {}, policy)(({ priority }) => `${priority}`);
      assert.deepEqual(first, { 0: 10_000 });
      for (const host of hosts.slice(0, 2)) host.isUsable = false;
      const counts = picks(hosts, {}, policy)(({ priority }) => `${priority}`);
      near(counts["0"], 7_000);
      near(counts["1"], 3_000);
    });
  }

  test("keeps a key at its host while nothing changes, and moves only what it must", () => {
    const hosts = Array.from({ length: 12 }, (_, index) => new TestHost(index, index < 7 ? 0 : 1));
    const policy: BalancerPolicy = { kind: "ring-hash", minimumRingSize: 4_096 };
    const owners = () => {
      const picker = levelPicker(policy, hosts, levelling, seededRandom(3));
      return Array.from({ length: 5_000 }, (_, i) => picker.pick(hashText(`user ${i}`))?.key);
    };
    const before = owners();
    assert.deepEqual(owners(), before);
    for (const host of hosts.slice(0, 3)) host.isUsable = false;
    const gone = new Set(hosts.slice(0, 3).map(({ key }) => key));
    const after = owners();
    const moved = before.filter((key, i) => !gone.has(key ?? "") && after[i] !== key).length;
    const stayed = before.filter((key) => !gone.has(key ?? "")).length;
    // The four sevenths that are left carry 80 %: of their own keys a fifth goes on to the second priority.
    assert(moved / stayed < 0.25, `${moved} of ${stayed} keys of hosts that stayed moved`);
  });

  test("shares a priority out to its localities by weight, less to one that is not well", () => {
    const zones = [
      { name: "a", weight: 80 },
      { name: "b", weight: 20 },
    ];
    const hosts = zones.flatMap(({ name, weight }, zone) =>
      [0, 1, 2, 3].map((index) => new TestHost(zone * 4 + index, 0, name, weight)),
    );
    const counts = picks(hosts, { isLocalityWeighted: true })(({ locality }) => locality);
    near(counts["a"], 8_000);
    for (const host of hosts.slice(0, 2)) host.isUsable = false;
    const after = picks(hosts, { isLocalityWeighted: true })(({ locality }) => locality);
    near(after["a"], (10_000 * 56) / 76); // half of it is well: 80 × 0.7
    for (const host of hosts.slice(0, 4)) host.isUsable = false;
    assert.deepEqual(
      picks(hosts, { isLocalityWeighted: true })(({ locality }) => locality),
      {
        b: 10_000,
      },
    );
  });

  test("in panic uses everybody of a priority, whatever its localities' weights", () => {
    const hosts = [0, 1].map((index) => new TestHost(index, 0, `zone-${index}`, 100 * index));
    for (const host of hosts) host.isUsable = false;
    const counts = picks(hosts, { isLocalityWeighted: true, panicPercent: 50 });
    near(counts(({ locality }) => locality)["zone-0"], 5_000);
  });

  test("picks nobody where nobody may be used", () => {
    const hosts = [new TestHost(1, 0), new TestHost(2, 1)];
    for (const host of hosts) host.isUsable = false;
    assert.deepEqual(
      picks(hosts)(({ key }) => key),
      {},
    );
  });
});
