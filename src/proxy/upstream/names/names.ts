/**
 * The names that a sidecar's clusters lead to, each looked up once for all of them, and again when its time is over.
 *
 * An answer holds as long as its TTL says, within limits, and a little longer by chance, so that sidecars do not ask in
 * step. When no answer can be had the last good one stays, however old, and is asked for again after a growing time; an
 * answer that there is nothing is an answer. A name that nobody watches any more is forgotten when its time is over.
 *
 * What is held is bounded by the configuration: one entry for each name in it, with a bounded number of addresses, and
 * few questions under way at a time.
 */

import { renderError } from "../../../base/error.ts";
import type { Log } from "../../../base/log.ts";
import type { Random } from "../../../base/random.ts";
import type { LookUp } from "./look-up.ts";

export interface NamesOptions {
  readonly lookUp: LookUp;
  readonly random: Random;
  readonly log: Log;
}

/** Somebody's interest in a name. */
export interface Watch {
  readonly addresses: readonly string[];
  release(): void;
}

const leastMs = 5_000; // Envoy's least; a TTL of 0 must not become a loop
const mostMs = 300_000;
/** Part of its time that an answer is kept longer, at most. */
const jitterShare = 0.1;
const firstRetryMs = 1_000;
const lastRetryMs = 60_000;
/** Of a name that leads nowhere: until it is known, every request for it fails. */
const lastRetryWithoutMs = 10_000;
const maxUnderWay = 16;

export class Names {
  readonly #options: NamesOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #queue: Entry[] = [];
  #underWay = 0;

  constructor(options: NamesOptions) {
    this.#options = options;
  }

  /** `onChange` is called when the name has come to lead elsewhere; never before this returns. */
  watch(name: string, onChange: () => void): Watch {
    const entry = this.#entry(name);
    const watcher = { onChange };
    entry.watchers.add(watcher);
    return {
      get addresses() {
        return entry.addresses;
      },
      release: () => void entry.watchers.delete(watcher),
    };
  }

  /** Resolves when each of the names has been looked up once, with whatever outcome, or after `withinMs`. */
  async settled(names: readonly string[], withinMs: number): Promise<void> {
    const open = names.map((name) => this.#entry(name)).filter((entry) => !entry.isSettled);
    if (open.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => setImmediate(resolve), withinMs); // an answer that has come is read first
    });
    await Promise.race([Promise.all(open.map(({ settled }) => settled)), late]);
    clearTimeout(timer);
  }

  /** Asks nothing any more. */
  stop(): void {
    for (const entry of this.#entries.values()) clearTimeout(entry.timer);
    this.#entries.clear();
    this.#queue.length = 0;
  }

  /** For people and tests: names, and where they lead. */
  get known(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.#entries].map(([name, { addresses }]) => [name, addresses]));
  }

  #entry(name: string): Entry {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    const entry = new Entry(name);
    this.#entries.set(name, entry);
    this.#ask(entry);
    return entry;
  }

  #ask(entry: Entry): void {
    if (this.#underWay >= maxUnderWay) {
      this.#queue.push(entry);
      return;
    }
    this.#underWay++;
    void this.#refresh(entry).finally(() => {
      this.#underWay--;
      const next = this.#queue.shift();
      if (next !== undefined) this.#ask(next);
    });
  }

  async #refresh(entry: Entry): Promise<void> {
    const { lookUp, log, random } = this.#options;
    let waitMs: number;
    try {
      const { addresses, ttlMs } = await lookUp(entry.name);
      entry.failures = 0;
      waitMs = Math.min(mostMs, Math.max(leastMs, ttlMs));
      entry.lead(addresses);
    } catch (error) {
      const longest = entry.addresses.length > 0 ? lastRetryMs : lastRetryWithoutMs;
      waitMs = Math.min(longest, firstRetryMs * 2 ** entry.failures++);
      log.warn("name is not looked up", {
        name: entry.name,
        reason: renderError(error),
        kept: entry.addresses.length,
      });
    }
    entry.settle();
    if (this.#entries.get(entry.name) !== entry) return;
    entry.timer = setTimeout(() => this.#onTime(entry), waitMs * (1 + jitterShare * random()));
    entry.timer.unref();
  }

  #onTime(entry: Entry): void {
    if (entry.watchers.size > 0) this.#ask(entry);
    else this.#entries.delete(entry.name);
  }
}

class Entry {
  readonly name: string;
  readonly watchers = new Set<{ readonly onChange: () => void }>();
  readonly settled: Promise<void>;
  addresses: readonly string[] = [];
  failures = 0;
  isSettled = false;
  timer: NodeJS.Timeout | undefined;
  #onSettled: () => void = () => {};

  constructor(name: string) {
    this.name = name;
    this.settled = new Promise((resolve) => {
      this.#onSettled = resolve;
    });
  }

  settle(): void {
    this.isSettled = true;
    this.#onSettled();
  }

  /** Order counts: where one address stands for the name it is the first. */
  lead(addresses: readonly string[]): void {
    if (addresses.join() === this.addresses.join()) return;
    this.addresses = addresses;
    for (const { onChange } of [...this.watchers]) onChange();
  }
}
