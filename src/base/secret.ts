/**
 * A value that must never be printed: keys, tokens, passwords.
 *
 * It reaches no log, error or JSON by accident, because every way of turning it into text gives `[secret]` (or, for
 * `console.log`, nothing: the field is private); whoever needs the value says so with `reveal()`.
 */

const hidden = "[secret]";

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
}
