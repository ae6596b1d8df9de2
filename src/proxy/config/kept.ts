/** Values that are costly to make, each made once per key and kept while snapshots go on asking for it. */

export class Kept<V> {
  readonly #before: ReadonlyMap<string, V>;
  readonly #used = new Map<string, V>();

  /** `before`: of the snapshot before; what it had and nobody asks for again is let go. */
  constructor(before?: Kept<V>) {
    this.#before = new Map(before === undefined ? [] : before.#used);
  }

  get(key: string, make: () => V): V {
    const value = this.#used.get(key) ?? this.#before.get(key) ?? make();
    this.#used.set(key, value);
    return value;
  }
}
