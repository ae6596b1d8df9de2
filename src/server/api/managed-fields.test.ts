import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../../api/resource.ts";
import { applyFields } from "./managed-fields.ts";

function rule(spec: unknown, labels?: Readonly<Record<string, string>>): Resource {
  const metadata = { name: "cart", namespace: "shop", ...(labels && { labels }) };
  return { apiVersion: "v1", kind: "Rule", metadata, spec } as Resource;
}

const specOf = (object: Resource): unknown => (object as { spec?: unknown }).spec;

describe("applying", () => {
  test("twice the same changes nothing", () => {
    const once = applyFields(undefined, rule({ a: { b: 1 }, list: [1] }), "me");
    assert.deepEqual(applyFields(once, rule({ a: { b: 1 }, list: [1] }), "me"), once);
  });

  test("takes away what the writer applied before and no longer applies, at any depth", () => {
    const once = applyFields(undefined, rule({ a: { b: 1, c: 2 }, d: 3 }), "me");
    assert.deepEqual(specOf(applyFields(once, rule({ a: { b: 1 } }), "me")), { a: { b: 1 } });
    assert.deepEqual(specOf(applyFields(once, rule({ d: 3 }), "me")), { d: 3 });
  });

  test("leaves what others applied, or what nobody did", () => {
    const mine = applyFields(undefined, rule({ a: 1, shared: 1 }), "me");
    const both = applyFields(mine, rule({ b: 2, shared: 1 }), "you");
    const server = { ...both, spec: { ...(specOf(both) as object), given: 4 } } as Resource;
    const after = applyFields(server, rule({}), "me");
    assert.deepEqual(specOf(after), { shared: 1, b: 2, given: 4 });
  });

  test("replaces lists whole", () => {
    const once = applyFields(undefined, rule({ list: [{ a: 1, b: 2 }] }), "me");
    assert.deepEqual(specOf(applyFields(once, rule({ list: [{ a: 3 }] }), "me")), {
      list: [{ a: 3 }],
    });
  });

  test("takes away labels that are gone from the manifest", () => {
    const once = applyFields(undefined, rule({}, { team: "web", tier: "a" }), "me");
    const after = applyFields(once, rule({}, { team: "web" }), "me");
    assert.deepEqual(after.metadata.labels, { team: "web" });
  });
});
