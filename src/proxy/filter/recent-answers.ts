/** How long a route's answers took of late: within the last 10 to 20 s, once there are 100 of them. */

import { LogHistogram, quantileMs } from "../../base/log-histogram.ts";

const periodMs = 10_000;
const leastAnswers = 100;
const recomputeEveryMs = 500;

export class RecentAnswers {
  readonly #now: () => number;
  #current = new LogHistogram();
  #before: LogHistogram | undefined;
  #count = 0;
  #countBefore = 0;
  #since: number;
  #known: number | undefined;
  #knownAt = -Infinity;

  /** `now`: monotonic ms. */
  constructor(now: () => number) {
    this.#now = now;
    this.#since = now();
  }

  observe(ms: number): void {
    this.#turn(this.#now());
    this.#current.observe(ms);
    this.#count++;
  }

  /** What this share (0 to 1) of them took at most, in ms; undefined: too few are known. */
  quantileMs(share: number): number | undefined {
    const now = this.#now();
    if (now - this.#knownAt < recomputeEveryMs) return this.#known;
    this.#knownAt = now;
    this.#turn(now);
    const isEnough = this.#count + this.#countBefore >= leastAnswers;
    // The fuller of the two: a period that has just begun says little of its slowest.
    const fuller = this.#count >= this.#countBefore ? this.#current : this.#before;
    this.#known = isEnough ? quantileMs(share, (fuller ?? this.#current).sparse()) : undefined;
    return this.#known;
  }

  /** Another period begins. What was before a pause is not of late, and may have been before a change, too. */
  #turn(now: number): void {
    if (now - this.#since <= periodMs) return;
    const isPast = now - this.#since > 2 * periodMs;
    this.#before = isPast ? undefined : this.#current;
    this.#countBefore = isPast ? 0 : this.#count;
    this.#current = new LogHistogram();
    this.#count = 0;
    this.#since = now;
  }
}
