import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KeyChanges } from "./record-layer.ts";

describe("a peer's changes of keys", () => {
  /** How many of them are borne, one every so many milliseconds. */
  function borne(everyMs: number): number {
    let now = 5_000;
    const changes = new KeyChanges(() => now);
    let count = 0;
    while (count < 100_000 && changes.bears()) {
      count++;
      now += everyMs;
    }
    return count;
  }

  test("are borne for ever once a second, and not more often", () => {
    assert.equal(borne(1_000), 100_000);
    assert.equal(borne(0), 32);
    assert.equal(borne(1), 32);
    const often = borne(900);
    assert(often > 300 && often < 340, `${often}`);
  });
});
