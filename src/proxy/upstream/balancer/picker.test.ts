import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../base/random.ts";
import type { BalancerPolicy } from "../../../model/proxy-config.ts";
import { hashText } from "./hash.ts";
import { createPicker } from "./picker.ts";

interface Host {
  readonly key: string;
  readonly weight: number;
  active: number;
  strain: number;
  latencyMs: number;
}

const hosts = (...weights: readonly number[]): Host[] =>
  weights.map((weight, index) => ({
    key: `10.0.0.${index}:80`,
    weight,
    active: 0,
    strain: 1,
    latencyMs: 10,
  }));

/** How often each host is picked in `count` picks. */
function shares(policy: BalancerPolicy, candidates: readonly Host[], count: number): number[] {
  const picker = createPicker(policy, candidates, seededRandom(42));
  const picked = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const key = picker.pick()?.key ?? "";
    picked.set(key, (picked.get(key) ?? 0) + 1);
  }
  return candidates.map(({ key }) => picked.get(key) ?? 0);
}

const policies: readonly BalancerPolicy[] = [
  { kind: "least-request" },
  { kind: "peak-ewma" },
  { kind: "round-robin" },
  { kind: "random" },
  { kind: "ring-hash", minimumRingSize: 16_384 },
  { kind: "maglev", tableSize: 65_537 },
];

const toldMore: readonly BalancerPolicy[] = [
  { kind: "least-request", choices: "all" },
  { kind: "least-request", bias: 0.5 },
  { kind: "ring-hash", minimumRingSize: 16_384, balancePercent: 150 },
  { kind: "maglev", tableSize: 65_537, balancePercent: 150 },
];

for (const policy of [...policies, ...toldMore]) {
  describe(`the balancer ${JSON.stringify(policy)}`, () => {
    test("has nobody to pick of nobody, and picks the only one", () => {
      assert.equal(createPicker(policy, [], seededRandom(1)).pick(), undefined);
      assert.equal(createPicker(policy, hosts(0), seededRandom(1)).pick(), undefined);
      assert.deepEqual(shares(policy, hosts(1), 5), [5]);
    });

    test("picks in proportion to weights, and never a host without any", () => {
      const [a = 0, b = 0, c = 0, d = 0] = shares(policy, hosts(1, 2, 3, 0), 6_000);
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

const keys = Array.from({ length: 20_000 }, (_, index) => hashText(`user-${index}`));
const assigned = (policy: BalancerPolicy, candidates: readonly Host[]): readonly string[] => {
  const picker = createPicker(policy, candidates, seededRandom(1));
  return keys.map((key) => picker.pick(key)?.key ?? "");
};
/** The share of keys that are somewhere else now. */
const moved = (before: readonly string[], after: readonly string[]): number =>
  before.filter((host, index) => host !== after[index]).length / before.length;

for (const policy of policies.slice(4)) {
  describe(`consistent hashing by ${policy.kind}`, () => {
    const ten = hosts(1, 1, 1, 1, 1, 1, 1, 1, 1, 1);

    test("sends a key to the same host, in whichever order the hosts are listed", () => {
      assert.deepEqual(assigned(policy, ten), assigned(policy, ten.toReversed()));
    });

    test("spreads keys evenly", () => {
      const counts = Map.groupBy(assigned(policy, ten), (host) => host);
      for (const [host, { length }] of counts) {
        const share = (length / keys.length) * 10;
        assert(share > 0.85 && share < 1.15, `${host} has ${share} of its fair share`);
      }
      assert.equal(counts.size, 10);
    });

    test("moves a leaving host's keys, and few others", () => {
      const before = assigned(policy, ten);
      const gone = ten[3]?.key;
      const after = assigned(
        policy,
        ten.filter(({ key }) => key !== gone),
      );
      const others = before.filter((host, index) => host !== gone && host !== after[index]).length;
      // A ring moves nobody else's. Maglev's paper measures a few percent.
      const most = policy.kind === "ring-hash" ? 0 : 0.05 * keys.length;
      assert(others <= most, `${others} keys of hosts that stayed have moved`);
    });

    test("moves about one key in eleven when an eleventh host comes", () => {
      const eleven = hosts(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
      const share = moved(assigned(policy, ten), assigned(policy, eleven));
      const most = policy.kind === "ring-hash" ? 0.11 : 0.14;
      assert(share > 0.07 && share < most, `${share} of the keys have moved`);
    });
  });
}

describe("a hash ring", () => {
  test("moves nobody else's keys while its hosts go from thirty-two to two", () => {
    const policy: BalancerPolicy = { kind: "ring-hash", minimumRingSize: 1_024 };
    let left = hosts(...Array.from({ length: 32 }, () => 1));
    let before = assigned(policy, left);
    while (left.length > 2) {
      const half = left.slice(left.length / 2);
      const stay = new Set(half.map(({ key }) => key));
      const after = assigned(policy, half);
      assert(before.every((host, index) => !stay.has(host) || after[index] === host));
      left = half;
      before = after;
    }
  });

  test("of hundreds of hosts stays within what can be built quickly", () => {
    const many = hosts(...Array.from({ length: 400 }, () => 1));
    const counts = Map.groupBy(
      assigned({ kind: "ring-hash", minimumRingSize: 1_024 }, many),
      (host) => host,
    );
    assert(counts.size > 390, `${counts.size} hosts have keys`);
  });
});

describe("a hash ring with a largest size", () => {
  test("gives its hosts fewer points than it would, and everybody at least one", () => {
    const ten = hosts(1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    const owned = (maximumRingSize?: number) => {
      const sizes = { minimumRingSize: 8, ...(maximumRingSize ? { maximumRingSize } : {}) };
      return new Set(assigned({ kind: "ring-hash", ...sizes }, ten)).size;
    };
    assert.equal(owned(), 10);
    assert.equal(owned(10), 10);
    assert.equal(owned(8), 10);
    // With a point each shares are as uneven as chance makes them; with all the room they are not.
    const share = (maximumRingSize: number) => {
      const policy = { kind: "ring-hash" as const, minimumRingSize: 1_000, maximumRingSize };
      const counts = Map.groupBy(assigned(policy, ten), (host) => host);
      return Math.max(...[...counts.values()].map(({ length }) => length)) / keys.length;
    };
    assert(share(10) > 0.2, `${share(10)}`);
    assert(share(1_000_000) < 0.12, `${share(1_000_000)}`);
  });
});

describe("round robin", () => {
  test("visits all before it comes back to one", () => {
    assert.deepEqual(shares({ kind: "round-robin" }, hosts(1, 1, 1), 9), [3, 3, 3]);
  });
});

describe("weighted round robin", () => {
  test("gives each host its part in every turn, and none its whole part in a row", () => {
    const candidates = hosts(5, 1, 1);
    const picker = createPicker({ kind: "round-robin" }, candidates, seededRandom(3));
    const picks = Array.from({ length: 70 }, () => picker.pick()?.weight ?? 0);
    for (let from = 0; from + 7 <= picks.length; from++) {
      const heavy = picks.slice(from, from + 7).filter((weight) => weight === 5).length;
      assert.equal(heavy, 5, `${picks.slice(from, from + 7)}`);
    }
    const longest = Math.max(
      ...picks
        .join("")
        .split("1")
        .map((run) => run.length),
    );
    assert(longest <= 4, `${longest} in a row: ${picks.join(" ")}`);
  });
});

describe("least request", () => {
  test("piles up ln ln n requests at the fullest of n hosts, where chance alone piles up ln n / ln ln n", () => {
    const n = 10_000;
    const fullest = (kind: "least-request" | "random") => {
      const bins = hosts(...Array.from({ length: n }, () => 1));
      const picker = createPicker({ kind }, bins, seededRandom(11));
      for (let i = 0; i < n; i++) {
        const host = picker.pick();
        if (host !== undefined) host.active++;
      }
      return Math.max(...bins.map(({ active }) => active));
    };
    // Azar, Broder, Karlin, Upfal: ln ln n / ln 2 + O(1), 3.2 here; without a choice about 3 ln n / ln ln n bounds it.
    assert(fullest("least-request") <= 4, `${fullest("least-request")}`);
    assert(fullest("random") >= 6, `${fullest("random")}`);
  });

  test("leaves a host alone that has more to do than the others", () => {
    const candidates = hosts(1, 1, 1, 1);
    const [busy] = candidates;
    if (busy !== undefined) busy.active = 10;
    const [first = 0] = shares({ kind: "least-request" }, candidates, 1_600);
    assert(first < 150, `${first} picks of the busy host`); // both draws must hit it: 1 in 16
  });

  test("of more draws meets the busy one less often", () => {
    const candidates = hosts(1, 1, 1, 1);
    const [busy] = candidates;
    if (busy !== undefined) busy.active = 10;
    const [first = 0] = shares({ kind: "least-request", choices: 4 }, candidates, 16_000);
    assert(first < 150, `${first} picks of the busy host`); // all four draws must hit it: 1 in 256
  });

  test("is not drawn to a host that fails at once and so has nothing under way", () => {
    const candidates = hosts(1, 1, 1, 1);
    for (const host of candidates) host.active = 3;
    const [failing] = candidates;
    if (failing !== undefined) [failing.active, failing.strain] = [0, 10];
    const [first = 0] = shares({ kind: "least-request" }, candidates, 1_600);
    assert(first < 150, `${first} picks of the failing host`);
  });
});

describe("a host that is slow", () => {
  /** Of the requests of twelve clients, each with one at a time, to two hosts that take a tick: what the third gets. */
  const share = (ticks: number): number => {
    const candidates = hosts(1, 1, 1);
    const picker = createPicker({ kind: "least-request" }, candidates, seededRandom(9));
    const underWay: { readonly host: Host; readonly until: number }[] = [];
    let met = 0;
    let all = 0;
    for (let now = 0; now < 3_000; now++) {
      for (const done of underWay.filter(({ until }) => until <= now)) {
        done.host.active--;
        underWay.splice(underWay.indexOf(done), 1);
      }
      while (underWay.length < 12) {
        const host = picker.pick();
        if (host === undefined) break;
        const isThird = host === candidates[2];
        host.active++;
        all++;
        if (isThird) met++;
        underWay.push({ host, until: now + (isThird ? ticks : 1) });
      }
    }
    return met / all;
  };

  test("gets less by least request for as long as it is, and its share when it is not", () => {
    assert(share(15) < 0.12, `${share(15)}`);
    assert(Math.abs(share(1) - 1 / 3) < 0.02, `${share(1)}`);
  });
});

describe("peak-EWMA", () => {
  test("prefers the host that answers sooner, however little the slow one has to do", () => {
    const candidates = hosts(1, 1, 1, 1);
    const [slow] = candidates;
    for (const host of candidates) host.active = 2;
    if (slow !== undefined) [slow.active, slow.latencyMs] = [0, 200];
    const [first = 0] = shares({ kind: "peak-ewma" }, candidates, 1_600);
    assert(first < 150, `${first} picks of the slow host`);
  });
});
