/** A place for one value: what is put while nobody takes replaces what waits, so a slow reader never has a backlog. */

export class Latest<T extends object> {
  #value: T | undefined;
  #wake: (() => void) | undefined;

  put(value: T): void {
    this.#value = value;
    this.#wake?.();
  }

  /** Takes what is there, or waits for it; undefined when the signal ended the wait. One reader at a time. */
  async take(signal: AbortSignal): Promise<T | undefined> {
    while (this.#value === undefined && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = (): void => resolve();
      this.#wake = wake;
      signal.addEventListener("abort", wake);
      await promise;
      signal.removeEventListener("abort", wake);
      this.#wake = undefined;
    }
    if (signal.aborted) return undefined;
    const value = this.#value;
    this.#value = undefined;
    return value;
  }
}
