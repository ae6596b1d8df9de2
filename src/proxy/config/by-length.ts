/**
 * Values by the beginning or end of a text, longest first: one look-up for each length that occurs, however many there
 * are.
 *
 * Hosts and paths are written with a handful of lengths, so that among ten thousand of them a dozen look-ups are made.
 */

/** `start`: values are found by what a text begins with; `end`: by what it ends with. */
export type Side = "start" | "end";

export class ByLength<T> {
  readonly #side: Side;
  /** Longest first. */
  readonly #entries: { readonly length: number; readonly values: Map<string, T> }[] = [];

  constructor(side: Side) {
    this.#side = side;
  }

  /** The value of this part; where it has none yet, `make`'s, which it keeps. */
  at(part: string, make: () => T): T {
    const { length } = part;
    let entry = this.#entries.find((one) => one.length === length);
    if (entry === undefined) {
      entry = { length, values: new Map() };
      this.#entries.push(entry);
      this.#entries.sort((a, b) => b.length - a.length);
    }
    const known = entry.values.get(part);
    if (known !== undefined) return known;
    const value = make();
    entry.values.set(part, value);
    return value;
  }

  /** The value of the longest part that `whole` begins or ends with. */
  longest(whole: string): T | undefined {
    for (const { length, values } of this.#entries) {
      const value = length > whole.length ? undefined : values.get(this.#cut(whole, length));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** The values of all parts that `whole` begins or ends with, longest first. */
  all(whole: string): T[] {
    const found: T[] = [];
    for (const { length, values } of this.#entries) {
      const value = length > whole.length ? undefined : values.get(this.#cut(whole, length));
      if (value !== undefined) found.push(value);
    }
    return found;
  }

  #cut(whole: string, length: number): string {
    return this.#side === "start" ? whole.slice(0, length) : whole.slice(whole.length - length);
  }
}
