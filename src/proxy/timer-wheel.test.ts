import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../test/property.ts";
import { Timeout, TimerWheel } from "./timer-wheel.ts";

describe("a timer wheel", () => {
  test("fires each timeout once, never early and at most two ticks late, whatever else is armed", () => {
    const delays = fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(delays, fc.integer({ min: 0, max: 9 }), (waits, start) => {
        let now = start;
        const wheel = new TimerWheel(() => now);
        const firedAt: number[] = [];
        waits.forEach((wait, index) => {
          wheel.arm(
            new Timeout(() => {
              assert.equal(firedAt[index], undefined);
              firedAt[index] = now;
            }),
            wait,
          );
        });
        while (now < 20_100) {
          now += 10;
          wheel.turn();
        }
        wheel.stop();
        waits.forEach((wait, index) => {
          const late = (firedAt[index] ?? Infinity) - start - wait;
          assert(late >= 0 && late <= 30, `${wait} ms fired ${late} ms late`);
        });
      }),
      { numRuns: 50 },
    );
  });

  test("forgets what was cancelled, and lets a timeout be armed again from its own firing", () => {
    let now = 0;
    const wheel = new TimerWheel(() => now);
    let count = 0;
    const again = new Timeout(() => {
      if (++count < 3) wheel.arm(again, 10);
    });
    const never = new Timeout(() => assert.fail("was cancelled"));
    wheel.arm(again, 10);
    wheel.arm(never, 10);
    wheel.cancel(never);
    wheel.cancel(never);
    for (; now < 200; now += 10) wheel.turn();
    assert.equal(count, 3);
    assert.equal(again.isArmed, false);
  });

  test("catches up after a stall in one turn", () => {
    let now = 0;
    const wheel = new TimerWheel(() => now);
    const fired: number[] = [];
    for (const wait of [50, 5_000, 30_000]) wheel.arm(new Timeout(() => fired.push(wait)), wait);
    now = 60_000;
    wheel.turn();
    assert.deepEqual(
      fired.sort((a, b) => a - b),
      [50, 5_000, 30_000],
    );
  });
});
