/**
 * What OpenSSL reads from and writes to, for all connections: nothing is left in it when a call of theirs returns. Were it
 * otherwise, one connection's records would break another; they could not be read there.
 */

import { takeAll } from "./calls/bios.ts";
import type { Pointer } from "./calls/library.ts";
import { type OpenSsl, openSsl } from "./openssl.ts";

export class SharedMemory {
  readonly #bio: OpenSsl["bio"];
  readonly arriving: Pointer;
  readonly leaving: Pointer;

  constructor({ bio }: OpenSsl) {
    this.#bio = bio;
    this.arriving = bio.newMemory();
    this.leaving = bio.newMemory();
  }

  put(bytes: Buffer, length: number): void {
    this.#bio.put(this.arriving, bytes, 0, length);
  }

  /** What was put in has been read. */
  get isRead(): boolean {
    return this.#bio.pending(this.arriving) === 0;
  }

  /** Takes back what was put in and not read. */
  takeUnread(): Buffer {
    return takeAll(this.#bio, this.arriving);
  }

  /** Nobody will read what was put in. */
  drop(): void {
    this.#bio.empty(this.arriving);
  }

  get hasWritten(): boolean {
    return this.#bio.pending(this.leaving) > 0;
  }

  takeWritten(): Buffer {
    return takeAll(this.#bio, this.leaving);
  }

  /** Returns how much was written. */
  takeWrittenInto(into: Buffer): number {
    return Math.max(0, this.#bio.take(this.leaving, into, 0, into.length));
  }
}

let shared: SharedMemory | undefined;

export function sharedMemory(): SharedMemory {
  shared ??= new SharedMemory(openSsl());
  return shared;
}
