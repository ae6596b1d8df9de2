/** The captured connections that are alive: counted, swept for timeouts, drained at the end. */

import type { Closable } from "../overload.ts";

export interface LiveConnection extends Closable {
  /** Finishes what is under way, then closes. */
  drain(): void;
  /** The same, but for clients that may be about to ask once more: they are answered before. */
  retire(): void;
  /** Called about once a second. */
  sweep(now: number): void;
}

export class Connections {
  readonly #live = new Set<LiveConnection>();
  readonly #max: number;
  #onEmpty: (() => void) | undefined;
  acceptedTotal = 0;
  refusedTotal = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get all(): Iterable<LiveConnection> {
    return this.#live;
  }

  get size(): number {
    return this.#live.size;
  }

  /** Whether one more may be taken; counts the answer. */
  admit(): boolean {
    if (this.#live.size >= this.#max) {
      this.refusedTotal++;
      return false;
    }
    this.acceptedTotal++;
    return true;
  }

  add(connection: LiveConnection): void {
    this.#live.add(connection);
  }

  delete(connection: LiveConnection): void {
    this.#live.delete(connection);
    if (this.#live.size === 0) this.#onEmpty?.();
  }

  /** The same, to be handed on: one function for all connections. */
  readonly forget = (connection: LiveConnection): void => this.delete(connection);

  sweep(now: number): void {
    for (const connection of this.#live) connection.sweep(now);
  }

  /** Resolves when all have finished. `how`: told to each. */
  async finish(how: "drain" | "retire"): Promise<void> {
    for (const connection of [...this.#live]) connection[how]();
    if (this.#live.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  destroy(): void {
    for (const connection of [...this.#live]) connection.destroy();
  }
}
