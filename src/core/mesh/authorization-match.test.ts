import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cidrOf } from "./authorization-match.ts";

describe("an address of an AuthorizationPolicy", () => {
  test("stands for itself alone in either family", () => {
    assert.equal(cidrOf("10.0.0.7"), "10.0.0.7/32");
    assert.equal(cidrOf("2001:db8::7"), "2001:db8::7/128");
    assert.equal(cidrOf("2001:db8::/32"), "2001:db8::/32");
  });
});
