import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../base/random.ts";
import type { BalancerPolicy } from "../../../model/proxy-config.ts";
import { hashText } from "./hash.ts";
import { type Candidate, createPicker } from "./picker.ts";

interface Host extends Candidate {
  active: number;
}

const hosts = (...weights: readonly number[]): Host[] =>
  weights.map((weight, index) => ({
    key: `10.0.0.${index}:80`,
    weight,
    active: 0,
    strain: 1,
    latencyMs: 10,
  }));

const kinds = [
  { kind: "ring-hash", minimumRingSize: 1_024 },
  { kind: "maglev", tableSize: 65_537 },
] as const satisfies readonly BalancerPolicy[];

const keys = Array.from({ length: 2_000 }, (_, index) => hashText(`user-${index}`));
const hot = hashText("everybody's favourite");

for (const kind of kinds) {
  const pickerOf = (candidates: readonly Host[], balancePercent?: number) =>
    createPicker(
      balancePercent === undefined ? kind : { ...kind, balancePercent },
      candidates,
      seededRandom(1),
    );
  const owners = (candidates: readonly Host[], balancePercent?: number) => {
    const picker = pickerOf(candidates, balancePercent);
    return keys.map((key) => picker.pick(key)?.key);
  };

  describe(`bounded loads over ${kind.kind}`, () => {
    for (const percent of [100, 125, 150, 400]) {
      test(`give no host more than ${percent} % of its part, whoever comes and goes`, () => {
        const random = seededRandom(percent);
        const candidates = hosts(1, 1, 2, 4, 1);
        const picker = pickerOf(candidates, percent);
        const underWay: Host[] = [];
        for (let i = 0; i < 5_000; i++) {
          const leaves = random() < 0.45;
          const at = Math.floor(random() * underWay.length);
          const [gone] = leaves ? underWay.splice(at, 1) : [];
          if (gone !== undefined) gone.active--;
          if (leaves) continue;
          // One key has half of all requests.
          const key = random() < 0.5 ? hot : (keys[i % keys.length] ?? 0);
          const host = picker.pick(key);
          assert.ok(host);
          host.active++;
          underWay.push(host);
          const most = Math.ceil((percent / 100) * underWay.length * (host.weight / 9));
          assert.ok(
            host.active <= most,
            `${host.active} of ${underWay.length} at one, ${most} at most`,
          );
        }
      });
    }

    test("leave every key where it belongs while there is room", () => {
      const candidates = hosts(1, 1, 1, 1);
      assert.deepEqual(owners(candidates, 150), owners(candidates));
      for (const host of candidates) host.active = 10;
      assert.deepEqual(owners(candidates, 150), owners(candidates));
    });

    test("send a key that found no room back to its host once there is some", () => {
      const candidates = hosts(1, 1, 1, 1);
      const picker = pickerOf(candidates, 125);
      const owner = picker.pick(hot);
      assert.ok(owner);
      owner.active = 20;
      const other = picker.pick(hot);
      assert.notEqual(other, owner);
      assert.equal(picker.pick(hot), other, "the same other one each time");
      owner.active = 0;
      assert.equal(picker.pick(hot), owner);
    });

    test("spread what finds no room over all others, in whichever order they are listed", () => {
      const overflowing = (candidates: readonly Host[]) => {
        const picker = pickerOf(candidates, 125);
        const full = candidates.find(({ key }) => key === "10.0.0.3:80");
        assert.ok(full);
        const own = keys.filter((key) => picker.pick(key) === full);
        full.active = 20;
        return own.map((key) => picker.pick(key)?.key);
      };
      const found = overflowing(hosts(1, 1, 1, 1, 1));
      assert.deepEqual(found, overflowing(hosts(1, 1, 1, 1, 1).toReversed()));
      const counts = Map.groupBy(found, (key) => key);
      assert.equal(counts.size, 4);
      for (const [, { length }] of counts) assert.ok(length > found.length / 8, `${length}`);
    });

    test("of a key that everybody has are as full as the bound lets them be", () => {
      const candidates = hosts(1, 1, 1, 1);
      const picker = pickerOf(candidates, 150);
      for (let i = 0; i < 80; i++) {
        const host = picker.pick(hot);
        if (host !== undefined) host.active++;
      }
      const loads = candidates.map(({ active }) => active).sort((a, b) => b - a);
      assert.deepEqual(loads, [30, 30, 20, 0]);
    });
  });

  describe(`host names in ${kind.kind}`, () => {
    const named = (addresses: readonly number[]): Host[] =>
      hosts(...addresses.map(() => 1)).map((host, index) => ({
        ...host,
        key: `10.0.9.${addresses[index]}:80`,
        hashedAs: `db-${index}.shop`,
      }));

    test("keep their keys when hosts come back at other addresses", () => {
      const numbered = (candidates: readonly Host[]) =>
        owners(candidates).map((found) => candidates.findIndex(({ key }) => key === found));
      assert.deepEqual(numbered(named([1, 2, 3])), numbered(named([30, 10, 20])));
    });

    test("that several hosts have lead on to the same of them where one is full, in whichever order", () => {
      const shared = () => named([1, 2, 3, 4]).map((host) => ({ ...host, hashedAs: "db.shop" }));
      const overflowing = (candidates: readonly Host[]) => {
        const picker = pickerOf(candidates, 125);
        const owner = picker.pick(hot);
        assert.ok(owner);
        owner.active = 20;
        return picker.pick(hot)?.key;
      };
      assert.equal(overflowing(shared()), overflowing(shared().toReversed()));
    });

    test("that several hosts have lead to the same of them, in whichever order they are listed", () => {
      const shared = named([1, 2, 3]).map((host) => ({ ...host, hashedAs: "db.shop" }));
      assert.deepEqual(owners(shared), owners(shared.toReversed()));
    });
  });
}
