import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../test/property.ts";
import { canonicalJson, sameJson, withoutNulls } from "./json.ts";
import { mergePatch } from "./merge-patch.ts";

describe("an object without nulls", () => {
  test("lacks the fields that are null at any depth, and keeps items of lists", () => {
    const given = { a: null, b: { c: null, d: [{ e: null, f: 1 }, null, 0] }, g: false };
    assert.deepEqual(withoutNulls(given), { b: { d: [{ f: 1 }, null, 0] }, g: false });
    const clean = { b: [{ c: [1, null] }] };
    assert.equal(withoutNulls(clean), clean);
  });
});

describe("JSON values", () => {
  test("are the same whatever the order of their fields, and undefined is absent", () => {
    assert.ok(sameJson({ a: 1, b: [{ c: 2 }] }, { b: [{ c: 2 }], a: 1, d: undefined }));
    assert.ok(!sameJson({ a: 1 }, { a: 1, b: null }));
    assert.ok(!sameJson([1, 2], [2, 1]));
    assert.ok(!sameJson({ 0: "a" }, ["a"]));
  });

  test("have equal canonical text exactly where they are the same", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        assert.equal(canonicalJson(a) === canonicalJson(b), sameJson(a, b));
        assert.deepEqual(JSON.parse(canonicalJson(a)), JSON.parse(JSON.stringify(a)));
      }),
    );
  });
});

describe("a merge patch", () => {
  // The table of RFC 7396, appendix A.
  const cases: readonly [target: unknown, patch: unknown, result: unknown][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  test("does what RFC 7396 says", () => {
    for (const [target, patch, result] of cases)
      assert.deepEqual(mergePatch(target, patch), result);
  });

  test("sets a field named __proto__ as data", () => {
    const merged = mergePatch({}, JSON.parse('{"__proto__": {"polluted": true}}'));
    assert.equal(Object.getPrototypeOf(merged), Object.prototype);
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  });
});
