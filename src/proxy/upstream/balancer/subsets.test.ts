/** Which hosts a request may go to whose route names a part of a cluster. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../base/random.ts";
import type { BalancerMetadata, SubsetFallback } from "../../../model/proxy-config.ts";
import { createPicker } from "./picker.ts";
import { type Described, SubsetPicker, subsetName } from "./subsets.ts";

const said: readonly BalancerMetadata[] = [
  { version: "1", stage: "prod" },
  { version: "1", stage: "dev" },
  { version: "2", stage: "prod" },
  { version: 2, stage: "prod" },
  { stage: { name: "test", ring: 1 } },
  {},
];

const hosts: readonly Described[] = [...said, undefined].map((metadata, index) => ({
  key: String(index),
  weight: 1,
  active: 0,
  strain: 1,
  latencyMs: 10,
  metadata,
}));

function membersOf(
  wanted: BalancerMetadata | undefined,
  fallback: SubsetFallback = "none",
  own?: SubsetFallback,
): string {
  const subsets = {
    selectors: [
      { keys: ["version"], ...(own === undefined ? {} : { fallback: own }) },
      { keys: ["stage"] },
      { keys: ["stage", "version"] },
    ],
    fallback,
    defaultPart: { version: "1" },
  };
  const picker = new SubsetPicker(subsets, hosts, (part) =>
    createPicker({ kind: "round-robin" }, part, seededRandom(1)),
  );
  const name = wanted && subsetName(wanted);
  const members = picker.members(name).map(({ key }) => key);
  const picked = members.map(() => picker.pick(undefined, name)?.key ?? "");
  assert.deepEqual(picked.sort(), members, "each of them is picked, and nobody else");
  return members.join(" ");
}

describe("a part of a cluster", () => {
  const cases: readonly (readonly [wanted: BalancerMetadata, members: string])[] = [
    [{ version: "1" }, "0 1"],
    [{ version: "2" }, "2"],
    [{ version: 2 }, "3"],
    [{ version: "1", stage: "prod" }, "0"],
    [{ stage: "prod", version: "1" }, "0"],
    [{ stage: { ring: 1, name: "test" } }, "4"],
    [{ version: "3" }, ""],
    [{ version: "1", zone: "a" }, ""], // no selector has these keys
    [{ zone: "a" }, ""],
  ];
  for (const [wanted, members] of cases) {
    test(`is whoever says so: ${JSON.stringify(wanted)}`, () => {
      assert.equal(membersOf(wanted), members);
    });
  }

  test("that nobody names or is in falls back as the cluster says", () => {
    for (const wanted of [undefined, { version: "3" }, { zone: "a" }]) {
      assert.equal(membersOf(wanted, "none"), "");
      assert.equal(membersOf(wanted, "any"), "0 1 2 3 4 5 6");
      assert.equal(membersOf(wanted, "default"), "0 1");
    }
  });

  test("that nobody is in falls back as its selector says, where that says anything", () => {
    assert.equal(membersOf({ version: "3" }, "any", "default"), "0 1");
    assert.equal(membersOf({ version: "3" }, "any", "none"), "");
    assert.equal(membersOf({ stage: "3" }, "any", "none"), "0 1 2 3 4 5 6");
    assert.equal(membersOf(undefined, "any", "none"), "0 1 2 3 4 5 6");
  });
});
