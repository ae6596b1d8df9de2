/**
 * Addresses that were given back and are not given out again yet.
 *
 * Neighbour caches and other nodes' views outlive a pod by seconds; an address that is used again at once sends its new
 * owner the old one's packets. Thirty seconds outlast all of them here. Tracked connections may live for days: whoever
 * takes an address off the list looks for those first. The list is on disk, because a restarted agent must wait as
 * well, but is never forced: after a reboot there is nothing left to outlive.
 */

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { isRecord } from "../../base/json.ts";

const coolDownMs = 30_000;

export class Cooling {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #bootId: string;
  /** Address → when it was given back; oldest first, as maps keep the order of insertion. */
  readonly #since: Map<string, number>;

  constructor(stateDir: string, bootId: string, clock: Clock) {
    this.#path = join(stateDir, "cooling.json");
    this.#clock = clock;
    this.#bootId = bootId;
    this.#since = this.#load();
  }

  add(address: string): void {
    this.#since.delete(address);
    this.#since.set(address, this.#clock.now());
    this.#save();
  }

  /** The address has an owner again, or may have one. */
  remove(address: string): void {
    if (this.#since.delete(address)) this.#save();
  }

  /** All that were given back and not removed, longest-waiting first. */
  all(): readonly string[] {
    return [...this.#since.keys()];
  }

  /** Those whose time is over, longest-waiting first. */
  cooled(): readonly string[] {
    const limit = this.#clock.now() - coolDownMs;
    return [...this.#since].flatMap(([address, since]) => (since <= limit ? [address] : []));
  }

  #load(): Map<string, number> {
    try {
      const value: unknown = JSON.parse(readFileSync(this.#path, "utf8"));
      if (!isRecord(value) || value["bootId"] !== this.#bootId) return new Map();
      const entries = Array.isArray(value["since"]) ? value["since"] : [];
      return new Map(entries.filter(isEntry));
    } catch {
      return new Map(); // absent or torn: at worst an address is used again a little early
    }
  }

  #save(): void {
    const temporary = `${this.#path}.tmp`;
    try {
      writeFileSync(temporary, JSON.stringify({ bootId: this.#bootId, since: [...this.#since] }));
      renameSync(temporary, this.#path);
    } catch {
      // A full disk: only the next agent reads it, and it at worst uses an address again a little early.
    }
  }
}

function isEntry(value: unknown): value is [string, number] {
  return Array.isArray(value) && typeof value[0] === "string" && typeof value[1] === "number";
}
