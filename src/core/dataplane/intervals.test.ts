/** Intervals for nft: disjoint, complete, and no larger than what was asked for. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { familyOf, parseCidr } from "../../base/ip.ts";
import {
  type AddressRange,
  blockRanges,
  cidrRange,
  mergeRanges,
  partition,
  renderAddresses,
  renderPorts,
} from "./intervals.ts";

const range: fc.Arbitrary<AddressRange> = fc
  .tuple(fc.nat(40), fc.nat(10))
  .map(([first, length]) => ({ first: BigInt(first), last: BigInt(first + length) }));

const holds = (ranges: readonly AddressRange[], value: number) =>
  ranges.some(({ first, last }) => first <= value && value <= last);

describe("merged ranges", () => {
  test("hold the same numbers, in order, and never touch", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 8 }), (ranges) => {
        const merged = mergeRanges(ranges);
        for (let value = 0; value <= 60; value++) {
          assert.equal(holds(merged, value), holds(ranges, value));
        }
        for (let index = 1; index < merged.length; index++) {
          assert.ok((merged[index]?.first ?? 0n) > (merged[index - 1]?.last ?? 0n) + 1n);
        }
      }),
      { seed: 1 },
    );
  });
});

describe("a block with exceptions", () => {
  test("is what remains of it", () => {
    const cases = [
      ["10.0.0.0/8", [], ["10.0.0.0/8"]],
      ["10.0.0.0/30", ["10.0.0.1/32"], ["10.0.0.0", "10.0.0.2/31"]],
      ["10.0.0.0/30", ["10.0.0.0/31"], ["10.0.0.2/31"]],
      ["10.0.0.0/30", ["10.0.0.2/31", "10.0.0.3/32"], ["10.0.0.0/31"]],
      ["10.0.0.0/30", ["10.0.0.0/30"], []],
      ["0.0.0.0/0", ["128.0.0.0/1"], ["0.0.0.0/1"]],
      ["0.0.0.0/0", [], ["0.0.0.0/0"]],
      ["::/0", [], ["::/0"]],
      ["fd00::/126", ["fd00::1/128"], ["fd00::", "fd00::2/127"]],
      ["fd00::/64", ["fd00::/65"], ["fd00::8000:0:0:0/65"]],
    ] as const;
    for (const [cidr, except, expected] of cases) {
      const ranges = blockRanges({ cidr: parseCidr(cidr), except: except.map(parseCidr) });
      const texts = ranges.map((each) => renderAddresses(each, familyOf(cidr)));
      assert.deepEqual(texts, expected, cidr);
    }
  });

  test("is unchanged by an exception that lies outside", () => {
    const block = {
      cidr: parseCidr("10.0.0.4/30"),
      except: ["10.0.0.0/30", "10.0.0.8/30"].map(parseCidr),
    };
    assert.deepEqual(blockRanges(block), [cidrRange(block.cidr)]);
  });
});

describe("a partition", () => {
  test("has disjoint parts that know all that holds in them", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ range, value: fc.constantFrom("a", "b", "c") }), { maxLength: 8 }),
        (ranges) => {
          const parts = partition(ranges);
          for (let value = 0; value <= 60; value++) {
            const here = parts.filter((part) => holds([part.range], value));
            const wanted = ranges.filter((each) => holds([each.range], value));
            assert.ok(here.length <= 1);
            assert.deepEqual(
              [...(here[0]?.values ?? [])].sort(),
              [...new Set(wanted.map((each) => each.value))].sort(),
            );
          }
        },
      ),
      { seed: 2 },
    );
  });
});

describe("ports", () => {
  test("are merged for each protocol; no number means all of them", () => {
    assert.deepEqual(
      renderPorts([
        { protocol: "UDP" },
        { protocol: "TCP", first: 80, last: 80 },
        { protocol: "TCP", first: 81, last: 90 },
        { protocol: "UDP", first: 53, last: 53 },
        { protocol: "SCTP", first: 9, last: 9 },
      ]),
      ["sctp . 9", "tcp . 80-90", "udp . 0-65535"],
    );
  });
});
