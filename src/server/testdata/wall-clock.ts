/** The real clock, for tests that run real sockets. */

import { setTimeout } from "node:timers/promises";
import type { Clock } from "../../base/clock.ts";

export const wallClock: Clock = {
  now: Date.now,
  sleep: (ms, signal) => setTimeout(ms, undefined, signal ? { signal } : {}),
};
