/**
 * A value that changes, and readers that only care for the newest: nothing queues, nothing is read twice.
 */

export class Latest<T> {
  #value: T | undefined;
  #version = 0;
  #changed = Promise.withResolvers<void>();

  get(): T | undefined {
    return this.#value;
  }

  set(value: T): void {
    this.#value = value;
    this.#version++;
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  /** Every value from the next change on, newest only. Ends when the signal aborts. */
  async *changes(signal: AbortSignal): AsyncGenerator<T> {
    for (let seen = this.#version; ; seen = this.#version) {
      while (this.#version === seen) {
        if (!(await this.#next(signal))) return;
      }
      if (this.#value !== undefined) yield this.#value;
    }
  }

  /** The first answer that `find` has for the value of now or a later one. Rejects with the signal's reason. */
  async wait<R>(find: (value: T) => R | undefined, signal: AbortSignal): Promise<R> {
    for (;;) {
      signal.throwIfAborted();
      const found = this.#value === undefined ? undefined : find(this.#value);
      if (found !== undefined) return found;
      await this.#next(signal);
    }
  }

  /** False when the signal aborted first. */
  async #next(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    const aborted = Promise.withResolvers<void>();
    const abort = () => aborted.resolve();
    signal.addEventListener("abort", abort, { once: true });
    await Promise.race([this.#changed.promise, aborted.promise]);
    signal.removeEventListener("abort", abort);
    return !signal.aborted;
  }
}
