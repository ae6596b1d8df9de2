import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasFailed } from "./signals.ts";

describe("an answer", () => {
  test("counts as failed where it is no answer to what was asked", () => {
    for (const [code, failed] of [
      ["200", false],
      ["101", false],
      ["404", false],
      ["-", false],
      ["429", true],
      ["500", true],
      ["503", true],
      ["0", true],
    ] as const) {
      assert.equal(hasFailed(code), failed, code);
    }
  });
});
