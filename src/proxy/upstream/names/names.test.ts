/** What a sidecar knows of names, and for how long. */

import assert from "node:assert/strict";
import { describe, mock, type TestContext, test } from "node:test";
import { silentLog } from "../../testing/mesh.ts";
import type { LookedUp } from "./look-up.ts";
import { Names } from "./names.ts";

/** A name server by turns: an answer, or nothing. */
class Turns {
  asked = 0;
  readonly #answers: readonly (LookedUp | "silence")[];

  constructor(...answers: readonly (LookedUp | "silence")[]) {
    this.#answers = answers;
  }

  readonly lookUp = async (): Promise<LookedUp> => {
    const answer = this.#answers[Math.min(this.asked++, this.#answers.length - 1)];
    if (answer === undefined || answer === "silence") throw new Error("no answer");
    return answer;
  };
}

const to = (ttlSeconds: number, ...addresses: readonly string[]): LookedUp => ({
  addresses,
  ttlMs: ttlSeconds * 1_000,
});

function namesBy(t: TestContext, turns: Turns): Names {
  mock.timers.enable({ apis: ["setTimeout"] });
  const names = new Names({ lookUp: turns.lookUp, random: () => 0, log: silentLog });
  t.after(() => {
    names.stop();
    mock.timers.reset();
  });
  return names;
}

/** Lets so much time pass, and what it sets off run. */
async function pass(seconds: number): Promise<void> {
  mock.timers.tick(seconds * 1_000);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

describe("a watched name", () => {
  test("is asked for again when its time is over, and tells when it leads elsewhere", async (t) => {
    const turns = new Turns(to(30, "192.0.2.1"), to(30, "192.0.2.1"), to(30, "192.0.2.2"));
    const names = namesBy(t, turns);
    let changes = 0;
    const watch = names.watch("a.example", () => changes++);
    await pass(0);
    assert.deepEqual([watch.addresses, changes, turns.asked], [["192.0.2.1"], 1, 1]);
    await pass(29);
    assert.equal(turns.asked, 1);
    await pass(1);
    assert.deepEqual([changes, turns.asked], [1, 2]);
    await pass(30);
    assert.deepEqual([watch.addresses, changes], [["192.0.2.2"], 2]);
  });

  test("keeps its last good answer while none can be had, and asks ever more rarely", async (t) => {
    const turns = new Turns(to(5, "192.0.2.1"), "silence");
    const names = namesBy(t, turns);
    const watch = names.watch("a.example", () => {});
    await pass(0);
    for (let second = 0; second < 600; second++) await pass(1);
    assert.deepEqual(watch.addresses, ["192.0.2.1"]);
    assert.ok(turns.asked > 10 && turns.asked < 20, `asked ${turns.asked} times in ten minutes`);
  });

  test("that nobody could be asked for is known soon after somebody can be", async (t) => {
    const silence = Array.from({ length: 30 }, () => "silence" as const);
    const turns = new Turns(...silence, to(30, "192.0.2.1"));
    const names = namesBy(t, turns);
    const watch = names.watch("a.example", () => {});
    await pass(0);
    while (turns.asked < silence.length) await pass(1);
    await pass(10);
    assert.deepEqual(watch.addresses, ["192.0.2.1"]);
  });

  test("leads nowhere once it is answered that there is nothing", async (t) => {
    const names = namesBy(t, new Turns(to(5, "192.0.2.1"), to(5)));
    const watch = names.watch("a.example", () => {});
    await pass(0);
    await pass(5);
    assert.deepEqual(watch.addresses, []);
  });

  test("of no time at all is asked for every five seconds", async (t) => {
    const turns = new Turns(to(0, "192.0.2.1"));
    const names = namesBy(t, turns);
    names.watch("a.example", () => {});
    for (let second = 0; second < 60; second++) await pass(1);
    assert.ok(turns.asked <= 13, `asked ${turns.asked} times in a minute`);
  });

  test("is asked for once however many watch it, and forgotten when nobody does", async (t) => {
    const turns = new Turns(to(5, "192.0.2.1"));
    const names = namesBy(t, turns);
    const watches = [1, 2, 3].map(() => names.watch("a.example", () => {}));
    await pass(0);
    assert.equal(turns.asked, 1);
    for (const watch of watches) watch.release();
    await pass(5);
    assert.deepEqual([turns.asked, names.known.size], [1, 0]);
  });

  test("is waited for when it is new, and not for long", async (t) => {
    const silent = new Names({
      lookUp: () => new Promise(() => {}),
      random: () => 0,
      log: silentLog,
    });
    t.after(() => silent.stop());
    await silent.settled(["a.example"], 5);
    const names = namesBy(t, new Turns(to(5, "192.0.2.1")));
    await names.settled(["a.example"], 60_000);
    assert.deepEqual(names.known.get("a.example"), ["192.0.2.1"]);
  });
});

test("names are asked for a few at a time", async (t) => {
  let underWay = 0;
  let most = 0;
  const lookUp = async (): Promise<LookedUp> => {
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setImmediate(resolve));
    underWay--;
    return to(60, "192.0.2.1");
  };
  const names = new Names({ lookUp, random: () => 0, log: silentLog });
  t.after(() => names.stop());
  const all = Array.from({ length: 500 }, (_, n) => `n${n}.example`);
  await names.settled(all, 10_000);
  assert.ok(all.every((name) => names.known.get(name)?.length === 1));
  assert.ok(most <= 16, `${most} at a time`);
});
