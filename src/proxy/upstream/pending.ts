/**
 * Requests that have a host and wait for a connection to it, because their cluster may have no more: first come, first
 * served. How many may wait is the cluster's limit; one that is given up leaves at once.
 */

import type { Exchange } from "../stack/exchange.ts";

export class PendingRequests {
  readonly #waiting = new Set<Exchange>();
  readonly #onCount: (difference: 1 | -1) => void;

  /** `onCount` is told of each that comes and goes. */
  constructor(onCount: (difference: 1 | -1) => void) {
    this.#onCount = onCount;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(exchange: Exchange): void {
    this.#waiting.add(exchange);
    exchange.tries.pending = this;
    this.#onCount(1);
  }

  leave(exchange: Exchange): void {
    if (!this.#waiting.delete(exchange)) return;
    exchange.tries.pending = undefined;
    this.#onCount(-1);
  }

  /** The one that has waited longest; it waits no more. */
  take(): Exchange | undefined {
    const [first] = this.#waiting;
    if (first !== undefined) this.leave(first);
    return first;
  }
}
