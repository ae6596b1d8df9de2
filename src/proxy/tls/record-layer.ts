/** What a TLS connection does once its handshake is over, whoever does it. */

import { performance } from "node:perf_hooks";
import { MeshError } from "../../base/error.ts";

/** Of one read off the wire; with what the connection kept of a record before, it says less than `maxPlainBytes`. */
export const maxWireBytes: number = 64 * 1024;
export const maxPlainBytes: number = maxWireBytes + 20 * 1024;
/** What `seal` takes at a time, and the most that comes of it: 22 bytes more a record, and a change of keys before it. */
export const maxSealedAtOnce: number = 64 * 1024;
export const maxSealedBytes: number = maxSealedAtOnce + 4 * 1024;

/** The most that a record holds (RFC 8446 §5.1). */
export const maxContentBytes: number = 16 * 1024;

/**
 * How many records one key protects: AES-GCM is good for 2^24.5 of the full size (RFC 8446 §5.5), and OpenSSL, which does
 * not count them, changes keys when it is told to.
 */
export const recordsPerKey: number = 2 ** 24;

export interface RecordLayer {
  /** The peer has said that it sends nothing more: its close_notify. */
  readonly hasPeerClosed: boolean;
  /** What broke it; nothing more can be read. */
  readonly error: MeshError | undefined;
  /**
   * The peer has sent part of a message that nothing can be written before the rest of: neither `seal` nor `end` may be
   * called until an `open` has said otherwise.
   */
  readonly isInMidMessage: boolean;
  /**
   * Takes in `bytes[0, length)` off the wire and writes what they say to `into`, which has room for `maxPlainBytes`.
   * Returns how much that is; `hasPeerClosed` and `error` say whether anything can follow, `takeReply` what is to be sent.
   */
  open(bytes: Buffer, length: number, into: Buffer): number;
  /** What `open` has found to be sent: an alert, mostly. */
  takeReply(): Buffer | undefined;
  /**
   * Writes `bytes[at, at + length)`, at most `maxSealedAtOnce`, as records to `into`, which has room for `maxSealedBytes`.
   * Returns how much that is.
   */
  seal(bytes: Uint8Array, at: number, length: number, into: Buffer): number;
  /** Says that nothing more is sent; what is to be sent for that. Reading goes on. */
  end(): Buffer;
  /** Reads nothing more, for a reason outside of TLS. */
  breakOff(reason: string): MeshError;
}

export function broken(reason: string): MeshError {
  return new MeshError(
    "proxy.tls.broken",
    `speak TLS with a peer: ${reason === "" ? "the connection broke" : reason}`,
    { fault: "peer" },
  );
}

/**
 * Records without data (tickets, changes of keys), in one read off the wire or in many; a read that brings data makes up for
 * one. BoringSSL bears as many in a row. Each costs its sender little and its reader up to 40 µs: a read full of them held
 * the whole process for a tenth of a second, and a megabyte a second of short reads all of a core.
 */
const maxWithoutData = 32;

/** Counts them. */
export class Patience {
  #withoutData = 0;

  /** A record without data has come. False: they were too many. */
  bears(): boolean {
    this.#withoutData++;
    return this.#withoutData <= maxWithoutData;
  }

  /** A read has brought data. */
  renew(): void {
    if (this.#withoutData > 0) this.#withoutData--;
  }
}

export const tooManyWithoutData = "too many records without data";

/**
 * Changes of keys that a peer may make, whatever comes with them: of a record with one and a record with a byte the reader
 * has 190 µs of work, new keys and an answer under them mostly. BoringSSL and Go count those alone that bring no data. Who
 * changes keys by the number of records does once in days, who does by time once in minutes.
 */
const changesAtOnce = 32;
const changesPerSecond = 1;

const monotonicMs = (): number => performance.now();

/** Counts them. */
export class KeyChanges {
  readonly #now: () => number;
  #left = changesAtOnce;
  #at: number | undefined;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number = monotonicMs) {
    this.#now = now;
  }

  /** The peer's keys have changed. False: too often. */
  bears(): boolean {
    const now = this.#now();
    const gained = ((now - (this.#at ?? now)) / 1_000) * changesPerSecond;
    this.#at = now;
    this.#left = Math.min(changesAtOnce, this.#left + gained) - 1;
    return this.#left >= 0;
  }
}

export const tooManyChanges = "too many changes of keys";
