/**
 * Token buckets: so many requests at once, and so many more each interval.
 *
 * They fill continuously, so that an interval's end is not a starting gun. A bucket belongs to a place in the
 * configuration and lives on through changes: otherwise each push would let another burst through.
 *
 * A bucket is fair to those who take from it by name. While it is more than half full anybody may take; below that each
 * caller has an account, which fills with its equal part of the rate. So whoever asks for little is served even beside
 * somebody who asks for everything, and what nobody else wants is not withheld from him. Callers beyond the most that
 * are remembered share what the others leave.
 */

import type { RateLimit } from "../model/proxy-config.ts";

interface Account {
  tokens: number;
  at: number;
}

const maxAccounts = 256;

export class TokenBucket {
  readonly #now: () => number;
  #limit: RateLimit;
  #tokens: number;
  #filledAt: number;
  /** The least lately used first. */
  readonly #accounts = new Map<string, Account>();
  /** Requests that found it empty. */
  refusedTotal = 0;

  /** `now`: monotonic milliseconds. */
  constructor(limit: RateLimit, now: () => number) {
    this.#limit = limit;
    this.#now = now;
    this.#tokens = limit.maxTokens;
    this.#filledAt = now();
  }

  /** Another limit is in force; what is in the bucket stays, as far as it fits. */
  change(limit: RateLimit): void {
    this.#fill(this.#now());
    this.#limit = limit;
    this.#tokens = Math.min(this.#tokens, limit.maxTokens);
  }

  /** Takes a token; false: there is none, or none for this caller. */
  take(caller: string): boolean {
    const now = this.#now();
    this.#fill(now);
    const account = this.#accountOf(caller, now);
    const isSpare = this.#tokens > this.#limit.maxTokens / 2;
    if (this.#tokens < 1 || (!isSpare && account.tokens < 1)) {
      this.refusedTotal++;
      return false;
    }
    this.#tokens--;
    if (!isSpare) account.tokens--;
    return true;
  }

  #fill(now: number): void {
    const { maxTokens, tokensPerFill, fillIntervalMs } = this.#limit;
    const filled = ((now - this.#filledAt) / fillIntervalMs) * tokensPerFill;
    this.#tokens = Math.min(maxTokens, this.#tokens + filled);
    this.#filledAt = now;
  }

  /** The caller's account, filled up to now. It starts full: who comes new has used nothing. */
  #accountOf(caller: string, now: number): Account {
    const { maxTokens, tokensPerFill, fillIntervalMs } = this.#limit;
    const accounts = this.#accounts;
    const known = accounts.get(caller);
    if (known === undefined) this.#forgetSilent(now);
    const callers = accounts.size + (known === undefined ? 1 : 0);
    const most = Math.max(1, maxTokens / 2 / callers);
    if (known === undefined) {
      const account = { tokens: accounts.size < maxAccounts ? most : 0, at: now };
      if (accounts.size < maxAccounts) accounts.set(caller, account);
      return account;
    }
    const filled = ((now - known.at) / fillIntervalMs) * (tokensPerFill / callers);
    known.tokens = Math.min(most, known.tokens + filled);
    known.at = now;
    accounts.delete(caller);
    accounts.set(caller, known);
    return known;
  }

  /** Whoever has asked for nothing for as long as an empty bucket takes to fill has no part in it. */
  #forgetSilent(now: number): void {
    const { maxTokens, tokensPerFill, fillIntervalMs } = this.#limit;
    const since = now - Math.max(fillIntervalMs, (maxTokens / tokensPerFill) * fillIntervalMs);
    for (const [caller, { at }] of this.#accounts) {
      if (at >= since) return;
      this.#accounts.delete(caller);
    }
  }
}

interface Known {
  settings: string;
  readonly bucket: TokenBucket;
}

export class TokenBuckets {
  readonly #now: () => number;
  #inForce = new Map<string, Known>();
  #next = new Map<string, { readonly limit: RateLimit; readonly known: Known }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A configuration is being prepared: whatever an earlier one asked for that came to nothing is forgotten. */
  prepare(): void {
    this.#next = new Map();
  }

  /** The bucket of a place, the one of before where it had one. Its limit is in force with `commit`. */
  at(place: string, limit: RateLimit): TokenBucket {
    const known = this.#next.get(place)?.known ??
      this.#inForce.get(place) ?? {
        settings: JSON.stringify(limit),
        bucket: new TokenBucket(limit, this.#now),
      };
    this.#next.set(place, { limit, known });
    return known.bucket;
  }

  /** What was asked for since `prepare` is in force. */
  commit(): void {
    this.#inForce = new Map();
    for (const [place, { limit, known }] of this.#next) {
      const settings = JSON.stringify(limit);
      if (known.settings !== settings) known.bucket.change(limit);
      known.settings = settings;
      this.#inForce.set(place, known);
    }
  }

  /** By place. */
  get inForce(): ReadonlyMap<string, { readonly bucket: TokenBucket }> {
    return this.#inForce;
  }
}
