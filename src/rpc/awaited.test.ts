import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Awaited } from "./awaited.ts";

describe("what is asked for by name", () => {
  test("is waited for in full where it is asked for a second time", () => {
    const awaited = new Awaited([]);
    const refer = (...names: readonly string[]) =>
      awaited.refer("endpoints", new Set(names), new Map());
    refer("one");
    const first = awaited.turn;
    refer();
    refer("one");
    awaited.giveUp(first);
    assert.equal(awaited.isComplete, false);
    awaited.giveUp(awaited.turn);
    assert.equal(awaited.isComplete, true);
  });

  test("is given up no earlier than what was asked for before it", () => {
    const awaited = new Awaited(["clusters"]);
    const atFirst = awaited.turn;
    awaited.refer("endpoints", new Set(["one"]), new Map());
    awaited.giveUp(atFirst);
    assert.equal(awaited.isComplete, false);
    awaited.answered("endpoints", ["one"]);
    assert.equal(awaited.isComplete, true);
  });
});
