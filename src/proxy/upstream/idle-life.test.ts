import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { IdleLife } from "./idle-life.ts";

describe("how long an endpoint keeps a connection", () => {
  test("is as long as it says, less half a second or a tenth, and never all of it", () => {
    for (const [value, usableMs] of [
      ["timeout=5", 4_500],
      ["timeout=5, max=100", 4_500],
      ["max=100, Timeout=60", 54_000],
      ['timeout="3"', 2_500],
      ["timeout=1", 500],
      ["timeout=0", 0],
      ["max=5", Infinity],
      ["", Infinity],
      ["timeout=-1", Infinity],
      ["xtimeout=5", Infinity],
    ] as const) {
      const life = new IdleLife();
      life.announce(value);
      assert.equal(life.usableMs, usableMs, value);
    }
  });

  test("is learnt from two closes alike at different times", () => {
    const life = new IdleLife();
    life.noteClose(2_010, 10_000);
    assert.equal(life.usableMs, Infinity);
    life.noteClose(2_000, 15_000);
    assert.equal(life.usableMs, 1_500);
  });

  test("is not learnt from a restart, which closes all at one time", () => {
    const life = new IdleLife();
    for (const idleMs of [2_000, 2_001, 900, 905, 30]) life.noteClose(idleMs, 10_000);
    life.noteClose(4_000, 20_000);
    assert.equal(life.usableMs, Infinity);
  });
});
