/** The machine's clock, for the shells. */

import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../base/clock.ts";

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch {
      throw signal?.reason; // not the timer's own AbortError: what the caller aborted with
    }
  },
};
