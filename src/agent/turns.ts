/**
 * One thing at a time for each key, in the order of asking; different keys go on side by side.
 *
 * A runtime that gave up on an ADD calls DEL while the ADD still runs: whoever comes with `interrupt` aborts the one
 * that is running, and those that wait, before waiting for them. Whoever could not wait asks first (`isTaken`).
 */

interface Turn {
  readonly abort: AbortController;
  readonly done: Promise<void>;
  /** The one before, until this one has ended. */
  before: Turn | undefined;
}

export class Turns {
  readonly #last = new Map<string, Turn>();

  /** Whether something runs or waits under the key. */
  isTaken(key: string): boolean {
    return this.#last.has(key);
  }

  /** Runs `work` when everything asked for earlier under the key has ended. */
  async run<T>(
    key: string,
    options: { readonly interrupt: boolean; readonly signal: AbortSignal },
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const before = this.#last.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    const turn: Turn = { abort: new AbortController(), done: promise, before };
    this.#last.set(key, turn);
    try {
      if (options.interrupt) {
        for (let each = before; each !== undefined; each = each.before) {
          each.abort.abort(new Error("interrupted by a DEL"));
        }
      }
      await before?.done;
      return await work(AbortSignal.any([options.signal, turn.abort.signal]));
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key);
      turn.before = undefined;
      resolve();
    }
  }
}
