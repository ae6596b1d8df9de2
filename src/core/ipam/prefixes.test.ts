/** Prefixes as sets: against the same sets as lists of addresses. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { addressAt, type Cidr, cidrSize, parseCidr, subnetAt } from "../../base/ip.ts";
import { covers, merged, overlaps, within, without } from "./prefixes.ts";

const prefixOf = (whole: Cidr) =>
  fc
    .integer({ min: whole.prefixLength, max: whole.prefixLength + 5 })
    .chain((length) =>
      fc.nat(2 ** (length - whole.prefixLength) - 1).map((index) => subnetAt(whole, length, index)),
    );

const addresses = (...prefixes: readonly Cidr[]): readonly string[] =>
  prefixes
    .flatMap((each) => Array.from({ length: cidrSize(each) }, (_, i) => addressAt(each, i)))
    .sort();

for (const whole of ["10.0.0.96/27", "fd00::60/123"].map(parseCidr)) {
  const prefix = prefixOf(whole);
  describe(`prefixes of ${whole.address}`, () => {
    test("are taken from each other, cut and joined as their addresses are", () => {
      fc.assert(
        fc.property(prefix, fc.array(prefix, { maxLength: 6 }), (one, others) => {
          const outside = addresses(one).filter((each) => !addresses(...others).includes(each));
          const inside = addresses(one).filter((each) => addresses(...others).includes(each));
          assert.deepEqual(addresses(...without(one, others)), outside);
          assert.deepEqual(addresses(...within(one, others)), inside);
          assert.deepEqual(addresses(...merged(others)), [...new Set(addresses(...others))]);
          assert.ok(merged(others).length <= others.length);
        }),
        { seed: 4 },
      );
    });

    test("overlap where they have an address in common, and cover where they have all", () => {
      fc.assert(
        fc.property(prefix, prefix, (a, b) => {
          const common = addresses(a).filter((each) => addresses(b).includes(each));
          assert.equal(overlaps(a, b), common.length > 0);
          assert.equal(covers(a, b), common.length === cidrSize(b));
        }),
        { seed: 4 },
      );
    });
  });
}

test("prefixes of different families have nothing in common", () => {
  assert.equal(overlaps(parseCidr("0.0.0.0/0"), parseCidr("::/0")), false);
  assert.deepEqual(merged(["10.0.0.1/32", "10.0.0.0/32", "fd00::/128"].map(parseCidr)), [
    parseCidr("10.0.0.0/31"),
    parseCidr("fd00::/128"),
  ]);
});
