/**
 * What is asked for by name because something refers to it, and which of it still has to come.
 *
 * For servers that mark no rounds. A name that nothing refers to any more is let go of; one that does not come is waited
 * for no longer than a while (`giveUp`), after which what is there has to do without.
 */

export interface Change {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
}

/** Stands for all of a type. */
export const wildcard = "*";

export class Awaited {
  readonly #named = new Map<string, ReadonlySet<string>>();
  readonly #missing = new Map<string, Set<string>>();

  /** All of these types are waited for. */
  constructor(roots: readonly string[]) {
    for (const typeUrl of roots) this.#missing.set(typeUrl, new Set([wildcard]));
  }

  get isComplete(): boolean {
    return [...this.#missing.values()].every((names) => names.size === 0);
  }

  named(typeUrl: string): ReadonlySet<string> {
    return this.#named.get(typeUrl) ?? none;
  }

  /** These are referred to, and no others; those that are here already need not come. */
  refer(typeUrl: string, names: ReadonlySet<string>, here: ReadonlyMap<string, unknown>): Change {
    const before = this.named(typeUrl);
    const missing = this.#missing.get(typeUrl) ?? new Set();
    const subscribe = [...names].filter((name) => !before.has(name));
    const unsubscribe = [...before].filter((name) => !names.has(name));
    for (const name of subscribe) if (!here.has(name)) missing.add(name);
    for (const name of unsubscribe) missing.delete(name);
    this.#named.set(typeUrl, names);
    this.#missing.set(typeUrl, missing);
    return { subscribe, unsubscribe };
  }

  /** The server has spoken of this type, and of these names. */
  answered(typeUrl: string, names: readonly string[]): void {
    const missing = this.#missing.get(typeUrl);
    for (const name of [wildcard, ...names]) missing?.delete(name);
  }

  /** These are waited for no longer. */
  giveUp(typeUrl: string, names: readonly string[]): void {
    for (const name of names) this.#missing.get(typeUrl)?.delete(name);
  }
}

const none: ReadonlySet<string> = new Set();
