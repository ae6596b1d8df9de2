/**
 * The last changes of a store, in order, and the watchers that wait for more.
 *
 * A watcher is a cursor into the one history, not a queue of its own: however slow it is, it costs nothing, and when
 * the history has moved past it, it is told so (`store.expired`) instead of missing a change. Versions are dense (each
 * change takes the next one), so finding a version is an index, not a search.
 */

import { MeshError } from "../base/error.ts";
import type { StoreEvent } from "./store.ts";

export class History {
  readonly #bound: number;
  /** Changes of versions `#first` … `#last`; `#events[#head]` is the oldest. */
  #events: StoreEvent[] = [];
  #head = 0;
  #last: number;
  #waiting: (() => void)[] = [];

  constructor(bound: number, last: number) {
    this.#bound = bound;
    this.#last = last;
  }

  /** The version of the newest change; the version the history was opened at where there is none. */
  get last(): number {
    return this.#last;
  }

  append(events: readonly StoreEvent[]): void {
    for (const event of events) {
      this.#events.push(event);
      this.#last = event.version;
    }
    this.#head = Math.max(this.#head, this.#events.length - this.#bound);
    // Dropping one by one would copy the list on every change; dropping halves costs each change one copy.
    if (this.#head > this.#bound) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
    const woken = this.#waiting;
    this.#waiting = [];
    for (const wake of woken) wake();
  }

  /** Every change after `version`, and those to come, until the signal ends it. */
  async *after(version: number, signal: AbortSignal): AsyncGenerator<StoreEvent, void, undefined> {
    let cursor = version;
    while (!signal.aborted) {
      const event = this.#next(cursor);
      if (event === undefined) {
        await this.#change(signal);
        continue;
      }
      cursor = event.version;
      yield event;
    }
  }

  #next(cursor: number): StoreEvent | undefined {
    const oldest = this.#last - (this.#events.length - this.#head) + 1;
    if (cursor > this.#last || cursor < oldest - 1) {
      throw new MeshError(
        "store.expired",
        `watch changes after version ${cursor}: history holds ${oldest}..${this.#last}, list again`,
        { fault: "peer", retryable: true },
      );
    }
    return this.#events[this.#head + (cursor - oldest + 1)];
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
      this.#waiting.push(wake);
    });
  }
}
