import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { portableRegex } from "./re2.ts";

const read: readonly (readonly [re2: string, ecma: string])[] = [
  ["/v[0-9]+/.*", "/v[0-9]+/.*"],
  ["(?i)/abc", "(?i)/abc"],
  ["(?is).*", "(?i).*"],
  ["(?s).*", ".*"],
  ["/(?P<id>\\d+)/(?<x>.)(?:y)", "/(\\d+)/(.)(?:y)"],
  ["a(?i:b)(?s-i:c)", "a(?i:b)(?-i:c)"],
  ["[[:alpha:]_-]+[^[:digit:]]", "[A-Za-z_-]+[^0-9]"],
  ["[]a][^]b]", "[\\]a][^\\]b]"],
  ["\\Aa\\z", "^a$"],
  ["\\Qa.b[\\E+\\Qc", "a\\.b\\[+c"],
  ["\\x{41}\\x42\\a", "\\x41\\x42\\x07"],
  ["[\\d\\]:]", "[\\d\\]:]"],
  ["[a[:b]", "[a[:b]"],
];

const refused: readonly (readonly [re2: string, why: RegExp])[] = [
  ["(?=a)", /no looking around: \(\?=/],
  ["(?<!a)", /no looking around: \(\?</],
  ["(a)\\1", /no references back: \\1/],
  ["\\pL", /no classes of Unicode/],
  ["[\\p{Greek}]", /no classes of Unicode/],
  ["(?U)a*", /no flag U/],
  ["a(?i)b", /no flags but at the beginning/],
  ["[[:nope:]]", /unknown class: \[:nope:\]/],
  ["\\e", /unknown escape: \\e/],
  ["\\x{100}", /no characters beyond/],
];

describe("an expression of RE2", () => {
  for (const [re2, ecma] of read) {
    test(`${re2} is ${ecma}, and stays that`, () => {
      assert.equal(portableRegex(re2), ecma);
      assert.equal(portableRegex(ecma), ecma);
      new RegExp(ecma.replace("(?i)", ""));
    });
  }

  for (const [re2, message] of refused) {
    test(`${re2} is refused`, () => {
      assert.throws(() => portableRegex(re2), { name: "SyntaxError", message });
    });
  }
});
