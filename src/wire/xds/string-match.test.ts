/** How matches are written so that an Envoy takes them as we do, and how others' are read. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HeaderMatch } from "../../model/proxy-config.ts";
import type { HeaderMatcher } from "./gen/message-types.ts";
import { HeaderMatcher as HeaderMatcherMessage, RbacAction } from "./gen/messages.ts";
import { decodeMessage, encodeMessage } from "./protobuf.ts";
import { decodeRbac } from "./rbac.ts";
import {
  checked,
  decodeHeaderMatches,
  decodeStringMatch,
  encodeHeaderMatch,
} from "./string-match.ts";

const absent: HeaderMatch = { name: "x", match: { kind: "present" }, invert: true };
const present: HeaderMatch = { ...absent, invert: false };

describe("a header that must be absent", () => {
  test("is not written so that an Envoy takes a missing one for an empty one, and never matches", () => {
    const written = encodeHeaderMatch(absent);
    assert.deepEqual(written, { name: "x", presentMatch: true, invertMatch: true });
  });

  const forms: readonly (readonly [matcher: HeaderMatcher, wanted: HeaderMatch])[] = [
    [{ presentMatch: true }, present],
    [{ presentMatch: true, invertMatch: true }, absent],
    [{ presentMatch: true, invertMatch: true, treatMissingHeaderAsEmpty: true }, absent],
    [{ presentMatch: false }, absent],
    [{ presentMatch: false, invertMatch: true }, present],
  ];
  for (const [matcher, wanted] of forms) {
    test(`is read in each of its forms: ${JSON.stringify(matcher)}`, () => {
      const bytes = encodeMessage(HeaderMatcherMessage, { name: "x", ...matcher });
      const read = decodeHeaderMatches(decodeMessage(HeaderMatcherMessage, bytes), "headers[0]");
      assert.deepEqual(read, [wanted]);
    });
  }
});

describe("a header that must not have a value", () => {
  const other: HeaderMatch = { name: "x", match: { kind: "exact", value: "a" }, invert: true };

  test("may be absent where a missing one is taken for an empty one, and is written so", () => {
    assert.deepEqual(decodeHeaderMatches(encodeHeaderMatch(other), "x"), [other]);
  });

  test("does not match where it is absent and nobody says so, as with Envoy", () => {
    const matcher = { name: "x", stringMatch: { exact: "a" }, invertMatch: true };
    assert.deepEqual(decodeHeaderMatches(matcher, "x"), [other, present]);
    const rules = {
      action: RbacAction.ALLOW,
      policies: { p: { permissions: [{ header: matcher }], principals: [{ any: true }] } },
    };
    assert.deepEqual(decodeRbac(rules, "rules").policies[0]?.permissions, [
      {
        kind: "and",
        of: [
          { kind: "header", header: other },
          { kind: "header", header: present },
        ],
      },
    ]);
  });
});

describe("an expression of another control plane", () => {
  for (const regex of ["/items/(?P<id>[0-9]+)", "(?i)[[:alpha:]]+", "\\Qa.b\\E.*", "a\\z"]) {
    test(`is not refused where RE2 takes it, and stays as it is written: ${regex}`, () => {
      const read = decodeStringMatch({ safeRegex: { regex } }, "x");
      assert.deepEqual(read, { kind: "regex", value: regex });
    });
  }

  test("is refused by path where nobody can read it", () => {
    assert.throws(() => checked("/items/(", "routes[0].match.safe_regex.regex"), {
      code: "xds.invalid",
      message: /routes\[0\]\.match\.safe_regex\.regex: regular expression/,
    });
  });
});
