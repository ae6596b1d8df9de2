import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import type { EncodedResource } from "./resources.ts";
import { SortedValues } from "./sorted-values.ts";

const resource = (name: string, version: number): EncodedResource => ({
  name,
  typeUrl: "",
  version: `${version}`,
  bytes: new Uint8Array(),
});
const shown = ({ name, version }: EncodedResource) => `${name} ${version}`;

describe("values kept from one set of resources to the next", () => {
  test("are those of the set, sorted, whatever came before and in whatever order", () => {
    const sets = fc.array(
      fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 150 }), fc.integer({ min: 0, max: 2 })), {
        selector: ([number]) => number,
        maxLength: 150,
      }),
      { maxLength: 8 },
    );
    const resources = new Map<string, EncodedResource>();
    const shared = (name: string, version: number) => {
      const key = `${name} ${version}`;
      const made = resources.get(key) ?? resource(name, version);
      resources.set(key, made);
      return made;
    };
    fc.assert(
      fc.property(sets, (list) => {
        const values = new SortedValues(shown);
        for (const set of list) {
          const named = new Map(
            set.map(([number, version]) => [`n${number}`, shared(`n${number}`, version)]),
          );
          const found = values.of(named);
          assert.deepEqual(found, [...named.values()].map(shown).sort());
          assert.equal(values.of(new Map(named)), found, "the very same where nothing changed");
        }
      }),
      { seed: 3, numRuns: 200 },
    );
  });

  test("stay where a resource cannot be decoded, and change when it can", () => {
    let isBroken = true;
    const values = new SortedValues((each) => {
      if (isBroken && each.version === "2") throw new SyntaxError("broken");
      return shown(each);
    });
    const before = values.of(new Map([["a", resource("a", 1)]]));
    const next = new Map([
      ["b", resource("b", 1)],
      ["a", resource("a", 2)],
    ]);
    assert.throws(() => values.of(next), SyntaxError);
    assert.equal(values.of(new Map([["a", resource("a", 1)]])).join(), before.join());
    isBroken = false;
    assert.deepEqual(values.of(next), ["a 2", "b 1"]);
  });
});
