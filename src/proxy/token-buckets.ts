/**
 * Token buckets: so many requests at once, and so many more each interval.
 *
 * They fill continuously, so that an interval's end is not a starting gun. A bucket belongs to a place in the
 * configuration and lives on through changes elsewhere: otherwise each push would let another burst through.
 */

import type { RateLimit } from "../model/proxy-config.ts";

export class TokenBucket {
  readonly #limit: RateLimit;
  readonly #now: () => number;
  #tokens: number;
  #filledAt: number;
  /** Requests that found it empty. */
  refusedTotal = 0;

  /** `now`: monotonic milliseconds. */
  constructor(limit: RateLimit, now: () => number) {
    this.#limit = limit;
    this.#now = now;
    this.#tokens = limit.maxTokens;
    this.#filledAt = now();
  }

  /** Takes a token; false: there is none. */
  take(): boolean {
    const { maxTokens, tokensPerFill, fillIntervalMs } = this.#limit;
    const now = this.#now();
    const filled = ((now - this.#filledAt) / fillIntervalMs) * tokensPerFill;
    this.#tokens = Math.min(maxTokens, this.#tokens + filled);
    this.#filledAt = now;
    if (this.#tokens < 1) {
      this.refusedTotal++;
      return false;
    }
    this.#tokens--;
    return true;
  }
}

interface Known {
  readonly settings: string;
  readonly bucket: TokenBucket;
}

export class TokenBuckets {
  readonly #now: () => number;
  #inForce = new Map<string, Known>();
  #next = new Map<string, Known>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A configuration is being prepared: whatever an earlier one asked for that came to nothing is forgotten. */
  prepare(): void {
    this.#next = new Map();
  }

  /** The bucket of a place: the one of before where its limit is the same. */
  at(place: string, limit: RateLimit): TokenBucket {
    const settings = JSON.stringify(limit);
    const known = this.#next.get(place) ?? this.#inForce.get(place);
    const kept =
      known?.settings === settings
        ? known
        : { settings, bucket: new TokenBucket(limit, this.#now) };
    this.#next.set(place, kept);
    return kept.bucket;
  }

  /** What was asked for since `prepare` is in force. */
  commit(): void {
    this.#inForce = this.#next;
  }

  /** By place. */
  get inForce(): ReadonlyMap<string, { readonly bucket: TokenBucket }> {
    return this.#inForce;
  }
}
