/**
 * The values of one type of resource, sorted by name, kept from one set of resources to the next.
 *
 * Finding what changed among 10 000 takes a comparison each and no memory; the rest is the change itself: decoding it,
 * and one copy of the list. Where nothing changed the list is the very same. A resource that cannot be decoded leaves
 * everything as it was.
 */

import type { EncodedResource } from "./resources.ts";

/** Beyond so many at a time sorting afresh is the shorter way. */
const fewChanges = 64;

export class SortedValues<T> {
  readonly #decode: (resource: EncodedResource) => T;
  readonly #compare: (a: string, b: string) => number;
  readonly #known = new Map<string, EncodedResource>();
  /** Of `#values`. */
  #names: readonly string[] = [];
  #values: readonly T[] = [];

  /** `compare` orders names; no two compare as 0. */
  constructor(
    decode: (resource: EncodedResource) => T,
    compare: (a: string, b: string) => number = (a, b) => (a < b ? -1 : a > b ? 1 : 0),
  ) {
    this.#decode = decode;
    this.#compare = compare;
  }

  of(named: ReadonlyMap<string, EncodedResource> | undefined = new Map()): readonly T[] {
    const known = this.#known;
    const come: { readonly name: string; readonly resource: EncodedResource; readonly value: T }[] =
      [];
    let added = 0;
    for (const [name, resource] of named) {
      const before = known.get(name);
      if (before === resource) continue;
      if (before === undefined) added += 1;
      come.push({ name, resource, value: this.#decode(resource) });
    }
    const isAnyGone = known.size + added > named.size;
    const gone = isAnyGone ? [...known.keys()].filter((name) => !named.has(name)) : [];
    if (come.length + gone.length === 0) return this.#values;
    for (const name of gone) known.delete(name);
    for (const { name, resource } of come) known.set(name, resource);
    if (come.length + gone.length > fewChanges) this.#sortAfresh(gone, come);
    else this.#change(gone, come);
    return this.#values;
  }

  #change(gone: readonly string[], come: readonly { name: string; value: T }[]): void {
    const names = [...this.#names];
    const values = [...this.#values];
    for (const name of gone) {
      const at = this.#place(names, name);
      names.splice(at, 1);
      values.splice(at, 1);
    }
    for (const { name, value } of come) {
      const at = this.#place(names, name);
      const replaced = names[at] === name ? 1 : 0;
      names.splice(at, replaced, name);
      values.splice(at, replaced, value);
    }
    this.#names = names;
    this.#values = values;
  }

  #sortAfresh(gone: readonly string[], come: readonly { name: string; value: T }[]): void {
    const all = new Map(this.#names.map((name, at) => [name, this.#values[at]]));
    for (const name of gone) all.delete(name);
    for (const { name, value } of come) all.set(name, value);
    const sorted = [...all].sort(([a], [b]) => this.#compare(a, b));
    this.#names = sorted.map(([name]) => name);
    this.#values = sorted.flatMap(([, value]) => (value === undefined ? [] : [value]));
  }

  /** Where the name is, or would be. */
  #place(names: readonly string[], name: string): number {
    let low = 0;
    let high = names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(names[middle] ?? "", name) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
