/**
 * One object for equal values, across clients and across worlds.
 *
 * Compilers give fresh objects for every world. What did not change is recognised here and replaced by the object of
 * before, so that whatever is remembered by identity (the encoded resource, its version) is found again: a change
 * costs the encoding of what changed, once, however many clients get it.
 *
 * Values are kept for two generations (worlds): one that no client has had since is forgotten.
 */

export class SharedValues {
  #current = new Map<string, object[]>();
  #previous = new Map<string, object[]>();

  /** Call once a world, before its values are shared. */
  turn(): void {
    this.#previous = this.#current;
    this.#current = new Map();
  }

  /** An equal value that was shared before under the key, or this one. */
  share<T extends object>(key: string, value: T): T {
    const current = this.#current.get(key);
    const known = find(current, value) ?? find(this.#previous.get(key), value) ?? value;
    if (current === undefined) this.#current.set(key, [known]);
    else if (!current.includes(known)) current.push(known);
    return known as T;
  }

  shareAll<T extends object>(kind: string, values: readonly T[], name: (value: T) => string): T[] {
    return values.map((value) => this.share(`${kind} ${name(value)}`, value));
  }
}

/** Most values are the very objects of before; comparing content is for the rest. */
function find(candidates: readonly object[] | undefined, value: object): object | undefined {
  if (candidates === undefined) return undefined;
  return candidates.includes(value)
    ? value
    : candidates.find((candidate) => isSame(candidate, value));
}

/** Compiled values are plain JSON whose fields come in one order. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let index = 0; index < a.length; index++) {
      if (!isSame(a[index], b[index])) return false;
    }
    return true;
  }
  const left = Object.entries(a);
  if (Array.isArray(b) || left.length !== Object.keys(b).length) return false;
  const right = b as Readonly<Record<string, unknown>>;
  for (const [key, value] of left) {
    if (!isSame(value, right[key])) return false;
  }
  return true;
}
