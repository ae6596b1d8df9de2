/**
 * New pods get the fast path soon after their ADD, and not within it: for each link the kernel waits until no processor
 * is in the middle of a packet, 5 to 20 ms in which the agent does nothing else, and plugins that are chained behind us
 * may put queues and filters on the link first, which the fast path would pass by.
 *
 * So it begins once nobody has come for half a second, or the first has waited for five, and goes link by link, with
 * pauses in which calls are answered. What fails here, or comes later, is found by the agent's next look.
 */

import type { Clock } from "../base/clock.ts";
import { Latest } from "./latest.ts";

const quietMs = 500;
const longestMs = 5_000;
const pauseMs = 100; // so that calls have at least five sixths of the time

export class FreshPaths {
  readonly #links = new Set<string>();
  readonly #come = new Latest<number>();
  #count = 0;

  add(links: Iterable<string>): void {
    for (const link of links) this.#links.add(link);
    this.#count += 1;
    if (this.#links.size > 0) this.#come.set(this.#count);
  }

  /** Calls `put` for each link in its turn, until the signal aborts. */
  async follow(put: (link: string) => void, clock: Clock, signal: AbortSignal): Promise<void> {
    const pause = (ms: number) => clock.sleep(ms, signal).catch(() => undefined);
    for await (const _ of this.#come.changes(signal)) {
      for (let waitedMs = 0, seen = 0; seen !== this.#count && waitedMs < longestMs; ) {
        seen = this.#count;
        await pause(quietMs);
        waitedMs += quietMs;
      }
      for (const link of this.#links) {
        if (signal.aborted) return;
        this.#links.delete(link);
        put(link);
        await pause(pauseMs);
      }
    }
  }
}
