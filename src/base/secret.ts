/**
 * A value that must never be printed: keys, tokens, passwords.
 *
 * It reaches no log, error or JSON by accident, because every way of turning it into text gives `[secret]`; whoever
 * needs the value says so with `reveal()`.
 */

const hidden = "[secret]";
/** What Node's `console` and `util.inspect` ask for. */
const inspect: unique symbol = Symbol.for("nodejs.util.inspect.custom");

export class Secret<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }

  [inspect](): string {
    return hidden;
  }
}
