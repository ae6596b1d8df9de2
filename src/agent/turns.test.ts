import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Turns } from "./turns.ts";

const { signal } = new AbortController();

/** Ends when it is given up. */
function untilAborted(turn: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (turn.aborted) reject(turn.reason);
    turn.addEventListener("abort", () => reject(turn.reason));
  });
}

describe("turns of one key", () => {
  test("are taken one after the other, whatever came of the one before", async () => {
    const turns = new Turns();
    const order: string[] = [];
    const run = (name: string, fails: boolean) =>
      turns.run("a", { interrupt: false, signal }, async () => {
        order.push(`${name} begins`);
        await Promise.resolve();
        order.push(`${name} ends`);
        if (fails) throw new Error(name);
      });
    await Promise.allSettled([run("first", true), run("second", false)]);
    assert.deepEqual(order, ["first begins", "first ends", "second begins", "second ends"]);
  });

  test("let an interrupt reach the one that runs, also past one that waits", async () => {
    const turns = new Turns();
    const running = turns.run("a", { interrupt: false, signal }, untilAborted);
    const waiting = turns.run("a", { interrupt: false, signal }, untilAborted);
    const [ended] = await Promise.all([
      turns.run("a", { interrupt: true, signal }, async () => "ended"),
      assert.rejects(running, /interrupted/),
      assert.rejects(waiting, /interrupted/),
    ]);
    assert.equal(ended, "ended");
  });

  test("do not wait for those of another", async () => {
    const turns = new Turns();
    const stop = new AbortController();
    const running = turns.run("a", { interrupt: false, signal: stop.signal }, untilAborted);
    assert.equal(await turns.run("b", { interrupt: true, signal }, async () => "b"), "b");
    stop.abort(new Error("over"));
    await assert.rejects(running, /over/);
  });
});
