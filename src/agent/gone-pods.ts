/**
 * Forgets the tracked connections of pods that are gone, those of many in one walk of the kernel's table.
 *
 * A walk takes the same time whatever it is for, and where a node is drained it was most of what its pods' ends cost.
 * So the next begins no sooner than ten times as long after the last as that one took; whoever comes alone waits for
 * nothing. A failure is logged and nothing more: an address is not given again while a connection names it.
 */

import type { Clock } from "../base/clock.ts";
import { renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { KernelDriver } from "../kernel/driver.ts";

const restPerWalk = 10;
const longestRestMs = 1_000; // whatever is done to the clock

export class GonePods {
  readonly #driver: KernelDriver;
  readonly #clock: Clock;
  readonly #log: Log;
  #waiting = new Set<string>();
  #next: Promise<void> | undefined;
  #restUntil = 0;

  constructor(driver: KernelDriver, clock: Clock, log: Log) {
    this.#driver = driver;
    this.#clock = clock;
    this.#log = log;
  }

  /** Resolves when the connections of the addresses are forgotten, which nothing leads to any more. */
  forget(addresses: readonly string[]): Promise<void> {
    for (const address of addresses) this.#waiting.add(address);
    this.#next ??= this.#walk();
    return this.#next;
  }

  async #walk(): Promise<void> {
    const rest = Math.min(this.#restUntil - this.#clock.now(), longestRestMs);
    if (rest > 0) await this.#clock.sleep(rest);
    else await Promise.resolve(); // so that who comes in the same turn comes along
    const addresses = this.#waiting;
    this.#waiting = new Set();
    this.#next = undefined;
    const start = this.#clock.now();
    try {
      this.#driver.forgetConnections(addresses);
    } catch (error) {
      this.#log.warn("connections of gone pods are not forgotten", {
        addresses: [...addresses],
        error: renderError(error),
      });
    }
    const end = this.#clock.now();
    this.#restUntil = end + (end - start) * restPerWalk;
  }
}
