/**
 * Requests that have a host and wait for a connection to it, because their cluster may have no more: first come, first
 * served. How many may wait is the cluster's limit; one that is given up leaves at once.
 */

import type { Exchange } from "../stack/exchange.ts";

export class PendingRequests {
  readonly #waiting = new Set<Exchange>();
  readonly #cluster: { pendingRequests: number };

  constructor(cluster: { pendingRequests: number }) {
    this.#cluster = cluster;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(exchange: Exchange): void {
    this.#waiting.add(exchange);
    exchange.tries.pending = this;
    this.#cluster.pendingRequests++;
  }

  leave(exchange: Exchange): void {
    if (!this.#waiting.delete(exchange)) return;
    exchange.tries.pending = undefined;
    this.#cluster.pendingRequests--;
  }

  /** The one that has waited longest; it waits no more. */
  take(): Exchange | undefined {
    const [first] = this.#waiting;
    if (first !== undefined) this.leave(first);
    return first;
  }
}
