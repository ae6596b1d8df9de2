import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../base/clock.ts";
import { FreshPaths } from "./fresh-paths.ts";

/** Every pause is over at once; what happens in it is the test's. */
function clockOf(during: (pause: number) => void): Clock {
  let pauses = 0;
  const pass = async () => {
    pauses += 1;
    during(pauses);
    await sleep(0);
  };
  return { now: () => 0, sleep: pass };
}

describe("the fast path of new pods", () => {
  test("is put link by link, once nobody has come for a while", async () => {
    const paths = new FreshPaths();
    const life = new AbortController();
    const done: string[] = [];
    const clock = clockOf((pause) => {
      if (pause < 4) paths.add([`late-${pause}`]);
    });
    const following = paths.follow(
      (link) => {
        done.push(link);
        if (done.length === 4) life.abort();
      },
      clock,
      life.signal,
    );
    paths.add(["first"]);
    await following;
    assert.deepEqual(done, ["first", "late-1", "late-2", "late-3"]);
  });

  test("does not wait for ever where there is always one more", async () => {
    const paths = new FreshPaths();
    const life = new AbortController();
    const clock = clockOf((pause) => paths.add([`pod-${pause}`]));
    const following = paths.follow(() => life.abort(), clock, life.signal);
    paths.add(["first"]);
    await following;
  });
});
