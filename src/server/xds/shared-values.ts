/**
 * One object for equal values, across clients and across worlds.
 *
 * Compilers give fresh objects for every world. What did not change is recognised here and replaced by the object of
 * before, so that whatever is remembered by identity (the encoded resource, its version) is found again: a change
 * costs the encoding of what changed, once, however many clients get it.
 *
 * Values are kept for two generations (worlds): one that no client has had since is forgotten. What many clients have as
 * one object, or as one list, is compared once, however many they are; and only with what has the same hash, for every
 * sidecar has a listener of the same name that is like no other's.
 */

import { hashText } from "../../base/hash.ts";

interface Shared {
  readonly hash: number;
  readonly value: object;
}

/** By hash. */
type Generation = Map<number, object[]>;

export class SharedValues {
  #current: Generation = new Map();
  #previous: Generation = new Map();
  /** What values that have been seen are shared as. */
  readonly #found = new WeakMap<object, Shared>();
  /** The same of whole lists, in this generation. */
  #lists = new WeakMap<readonly object[], readonly object[]>();

  /** Call once a world, before its values are shared. */
  turn(): void {
    this.#previous = this.#current;
    this.#current = new Map();
    this.#lists = new WeakMap();
  }

  /** An equal value that was shared before, or this one. */
  share<T extends object>(value: T): T {
    const shared = this.#found.get(value) ?? this.#find(value);
    const current = this.#current.get(shared.hash);
    if (current === undefined) this.#current.set(shared.hash, [shared.value]);
    else if (!current.includes(shared.value)) current.push(shared.value);
    return shared.value as T;
  }

  shareAll<T extends object>(values: readonly T[]): readonly T[] {
    const before = this.#lists.get(values);
    if (before !== undefined) return before as readonly T[];
    const shared = values.map((value) => this.share(value));
    this.#lists.set(values, shared);
    return shared;
  }

  #find(value: object): Shared {
    const hash = hashText(JSON.stringify(value));
    const alike = [this.#current, this.#previous].flatMap((each) => each.get(hash) ?? []);
    const shared = { hash, value: alike.find((each) => isSame(each, value)) ?? value };
    this.#found.set(value, shared);
    return shared;
  }
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
