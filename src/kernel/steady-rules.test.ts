/** What is taken for rules that say the same of each opening, where no nft would write them. With nft's: test/netns. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { atOnce } from "../base/parts.ts";
import { Attributes, concat, nest, raw, text } from "../wire/netlink/attributes.ts";
import { type Expression, nftFamilies } from "../wire/netlink/nft-rules.ts";
import { type RulesOfOthers, unsteadyRule } from "./steady-rules.ts";

const expression = (name: string, ...attributes: readonly Uint8Array[]): Expression => ({
  name,
  attributes: new Attributes(concat(...attributes)),
});
/** In network byte order, as nf_tables has its numbers. */
const number = (type: number, value: number) => raw(type, Uint8Array.of(0, 0, 0, value));
const payload = (base: number, first: number, bytes: number) =>
  expression("payload", number(2, base), number(3, first), number(4, bytes));
const isVersion = (nfproto: number) => [
  expression("meta", number(2, 15)),
  expression("cmp", number(2, 0), nest(3, raw(1, Uint8Array.of(nfproto)))),
];
const lookup = (set: string) => expression("lookup", text(1, set));

const cases: readonly (readonly [
  what: string,
  isSteady: boolean,
  expressions: readonly Expression[],
])[] = [
  ["what nobody here knows", false, [expression("tomorrows")]],
  ["a set that is not there", false, [lookup("gone")]],
  ["a set that is", true, [lookup("some")]],
  ["addresses of IPv4", true, [...isVersion(2), payload(1, 12, 8)]],
  ["addresses of IPv6", true, [...isVersion(10), payload(1, 8, 32)]],
  ["bytes 8 to 23 of either version", false, [payload(1, 8, 16)]],
  ["hops of IPv4 in the place of an address of IPv6", false, [...isVersion(2), payload(1, 8, 16)]],
  ["both ports at once", false, [payload(2, 0, 4)]],
  ["the destination's port", true, [payload(2, 2, 2)]],
  ["Ethernet addresses", false, [payload(0, 0, 6)]],
  ["no byte", false, [payload(2, 2, 0)]],
  ["a write to the packet", false, [expression("payload", number(2, 2), number(3, 2), number(4, 2), number(5, 1))]], // biome-ignore format: a table
  ["a mark", false, [expression("meta", number(2, 3))]],
];

for (const [what, isSteady, expressions] of cases) {
  test(`a rule that asks for ${what} says ${isSteady ? "the same" : "what it likes"} of each opening`, () => {
    const table = { family: nftFamilies.inet, table: "guard" };
    const others = {
      chains: [{ ...table, name: "forward", hook: hookNumbered(2) }],
      sets: [{ ...table, name: "some", flags: 0, hasVerdicts: false }],
      rules: [{ ...table, chain: "forward", expressions }],
    };
    assert.equal(judged(others) === undefined, isSteady);
    const input = [{ ...table, name: "forward", hook: hookNumbered(1) }];
    assert.equal(judged({ ...others, chains: input }), undefined);
  });
}

function judged(others: RulesOfOthers): string | undefined {
  return atOnce(
    // biome-ignore lint/correctness/useYield: there is nothing to wait for
    unsteadyRule(others, function* () {
      return undefined;
    }),
  );
}

function hookNumbered(number: number) {
  return { number, type: "filter", isEmpty: false, devices: [] };
}
