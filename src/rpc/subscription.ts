/**
 * What one client asked for of one type, and which versions it has.
 *
 * Subscribing by name to something that is not there is answered too (as a removal), so that a client need not wait
 * for it. Subscribing again to a name sends it again: the client may have forgotten it.
 */

import type { DeltaRequest } from "../wire/xds/discovery.ts";
import type { EncodedResource } from "../wire/xds/resources.ts";

const wildcard = "*";
/** Stands for a version where the client was told that there is no such resource. */
const absent = "";

type Resources = ReadonlyMap<string, EncodedResource>;

export class Subscription {
  readonly #names: Set<string>;
  readonly #has: Map<string, string>;
  #all: boolean;
  #greeted = false;

  /** From the first request of a type: without names it asks for everything, as clients did before the asterisk. */
  constructor(first: Pick<DeltaRequest, "subscribe" | "unsubscribe" | "initialVersions">) {
    this.#names = new Set(first.subscribe);
    this.#all = first.subscribe.length === 0 || this.#names.delete(wildcard);
    this.#has = new Map(Object.entries(first.initialVersions));
    for (const name of first.unsubscribe) this.#unsubscribe(name);
  }

  /** True where something may have to be sent. */
  change(subscribe: readonly string[], unsubscribe: readonly string[]): boolean {
    for (const name of subscribe) {
      if (name === wildcard) {
        this.#all = true;
        continue;
      }
      this.#names.add(name);
      this.#has.delete(name);
    }
    for (const name of unsubscribe) this.#unsubscribe(name);
    return subscribe.length > 0 || unsubscribe.length > 0;
  }

  sendAgain(names: readonly string[]): void {
    for (const name of names) this.#has.delete(name);
  }

  /** What the client lacks, counted as sent from now on. */
  changed(resources: Resources): EncodedResource[] {
    const lacking: EncodedResource[] = [];
    for (const name of this.#all ? resources.keys() : this.#names) {
      const resource = resources.get(name);
      if (resource === undefined || this.#has.get(name) === resource.version) continue;
      this.#has.set(name, resource.version);
      lacking.push(resource);
    }
    if (lacking.length > 0) this.#greeted = true;
    return lacking;
  }

  /** What the client has, or waits for, and is not there; counted as told from now on. */
  removed(resources: Resources): string[] {
    const gone: string[] = [];
    for (const [name, version] of this.#has) {
      if (version === absent || resources.has(name)) continue;
      gone.push(name);
      this.#forget(name);
    }
    for (const name of this.#names) {
      if (resources.has(name) || this.#has.get(name) === absent) continue;
      this.#has.set(name, absent);
      if (!gone.includes(name)) gone.push(name);
    }
    return gone;
  }

  /** True once: where nothing has been sent yet. */
  greet(): boolean {
    const isFirst = !this.#greeted;
    this.#greeted = true;
    return isFirst;
  }

  #forget(name: string): void {
    if (this.#names.has(name)) this.#has.set(name, absent);
    else this.#has.delete(name);
  }

  #unsubscribe(name: string): void {
    if (name === wildcard) {
      this.#all = false;
      for (const known of [...this.#has.keys()]) {
        if (!this.#names.has(known)) this.#has.delete(known);
      }
      return;
    }
    this.#names.delete(name);
    // Under the wildcard the client still gets it, and has to be told so.
    this.#has.delete(name);
  }
}
