import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { kinds } from "../api/kinds.ts";
import { kindCalled } from "./kind-name.ts";

describe("a kind", () => {
  test("is found by its name, its plural and its short name, however they are written", () => {
    for (const word of ["VirtualService", "virtualservice", "VirtualServices", "vs", "VS"]) {
      assert.equal(kindCalled(word).kind, "VirtualService", word);
    }
  });

  test("is called by nothing that calls another kind, too", () => {
    const words = kinds.flatMap(({ kind, resource, shortName }) => [
      kind.toLowerCase(),
      resource,
      ...(shortName === undefined ? [] : [shortName]),
    ]);
    assert.equal(new Set(words).size, words.length);
  });

  test("that there is none of is refused with those that there are", () => {
    assert.throws(() => kindCalled("podz"), {
      code: "cli.kind.unknown",
      message: /^unknown kind "podz": want one of addressblocks, .*virtualservices\b.*$/,
    });
  });
});
