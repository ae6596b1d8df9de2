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
  /** Type URL → name → the turn in which it was asked for. */
  readonly #missing = new Map<string, Map<string, number>>();
  #turn = 0;

  /** All of these types are waited for. */
  constructor(roots: readonly string[]) {
    for (const typeUrl of roots) this.#missing.set(typeUrl, new Map([[wildcard, this.#turn]]));
  }

  /** Counts what was asked for together; `giveUp` takes it. */
  get turn(): number {
    return this.#turn;
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
    const missing = this.#missing.get(typeUrl) ?? new Map<string, number>();
    const subscribe = [...names].filter((name) => !before.has(name));
    const unsubscribe = [...before].filter((name) => !names.has(name));
    if (subscribe.length > 0) this.#turn++;
    for (const name of subscribe) if (!here.has(name)) missing.set(name, this.#turn);
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

  /** What was asked for in this turn, or before, is waited for no longer. */
  giveUp(turn: number): void {
    for (const names of this.#missing.values()) {
      for (const [name, asked] of names) if (asked <= turn) names.delete(name);
    }
  }
}

const none: ReadonlySet<string> = new Set();
