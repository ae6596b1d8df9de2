/**
 * Requests that have a host and wait for a connection to it, because their cluster may have no more: first come, first
 * served. How many may wait is the cluster's limit; one that is given up leaves at once.
 */

import type { Exchange } from "../stack/exchange.ts";

export class PendingRequests {
  readonly #waiting = new Set<Exchange>();
  readonly #load: { pendingRequests: number };

  constructor(load: { pendingRequests: number }) {
    this.#load = load;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(exchange: Exchange): void {
    this.#waiting.add(exchange);
    exchange.tries.pending = this;
    this.#load.pendingRequests++;
  }

  leave(exchange: Exchange): void {
    if (!this.#waiting.delete(exchange)) return;
    exchange.tries.pending = undefined;
    this.#load.pendingRequests--;
  }

  /** The one that has waited longest; it waits no more. */
  take(): Exchange | undefined {
    const [first] = this.#waiting;
    if (first !== undefined) this.leave(first);
    return first;
  }
}
