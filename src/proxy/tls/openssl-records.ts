/**
 * Records of a connection whose handshake is over, by OpenSSL: a client's, until it has a ticket that the next connection
 * can go on from. Only OpenSSL makes one of what a server sends.
 */

import type { MeshError } from "../../base/error.ts";
import {
  SSL_ERROR_WANT_READ,
  SSL_ERROR_ZERO_RETURN,
  SSL_KEY_UPDATE_NOT_REQUESTED,
} from "./calls/connections.ts";
import type { Pointer } from "./calls/library.ts";
import type { OpenSsl } from "./openssl.ts";
import { RecordBoundaries } from "./record-boundaries.ts";
import {
  broken,
  maxContentBytes,
  Patience,
  type RecordLayer,
  tooManyWithoutData,
} from "./record-layer.ts";
import { sharedMemory } from "./shared-memory.ts";

export interface OpenSslRecordOptions {
  readonly recordsPerKey: number;
  /** Told of what the next connection to this peer can go on from. */
  readonly onSession: (session: Buffer) => void;
}

export class OpenSslRecords implements RecordLayer {
  hasPeerClosed = false;
  /** OpenSSL writes nothing before it has the rest of a message of TLS' own, a ticket mostly. */
  isInMidMessage = false;
  error: MeshError | undefined;
  readonly #calls: OpenSsl;
  readonly #ssl: Pointer;
  readonly #recordsPerKey: number;
  readonly #boundaries = new RecordBoundaries();
  readonly #patience = new Patience();
  readonly #memory = sharedMemory();
  #onSession: OpenSslRecordOptions["onSession"] | undefined;
  #records = 0;
  #reply: Buffer | undefined;

  /** `ssl` stays its maker's to free. */
  constructor(calls: OpenSsl, ssl: Pointer, { recordsPerKey, onSession }: OpenSslRecordOptions) {
    this.#calls = calls;
    this.#ssl = ssl;
    this.#recordsPerKey = recordsPerKey;
    this.#onSession = onSession;
  }

  /** Only OpenSSL can do what is left: a ticket may come, or it has part of something. */
  get isNeeded(): boolean {
    return (
      this.#onSession !== undefined ||
      this.isInMidMessage ||
      !this.#boundaries.isBetweenRecords ||
      this.#reply !== undefined ||
      this.hasPeerClosed ||
      this.error !== undefined
    );
  }

  open(bytes: Buffer, length: number, into: Buffer): number {
    const calls = this.#calls;
    const ssl = this.#ssl;
    // What nobody would take out of the shared memory must not get in.
    if (this.hasPeerClosed || this.error !== undefined) return 0;
    this.#boundaries.pass(bytes, length);
    this.#memory.put(bytes, length);
    calls.clearErrors(); // others' would be taken for this one's
    let filled = 0;
    let hasRead = false; // at last
    while (!this.hasPeerClosed && this.error === undefined) {
      const read = calls.read(ssl, into, filled, into.length - filled);
      hasRead = read > 0;
      if (hasRead) filled += read;
      else if (!this.#isWaiting(read)) break;
      if (this.#memory.isRead) break;
      if (!hasRead && !this.#patience.bears()) this.#break(tooManyWithoutData);
    }
    this.isInMidMessage = !hasRead && this.error === undefined && calls.isInHandshake(ssl);
    if (filled > 0) this.#patience.renew();
    if (this.#memory.hasWritten) this.#reply = this.#memory.takeWritten();
    this.#tellSession(filled > 0);
    return filled;
  }

  /** Nothing was read. False: and nothing will be. */
  #isWaiting(result: number): boolean {
    const calls = this.#calls;
    const error = calls.errorOf(this.#ssl, result);
    if (error === SSL_ERROR_WANT_READ) return true;
    if (error === SSL_ERROR_ZERO_RETURN) this.hasPeerClosed = true;
    else this.#break(calls.errorReason());
    this.#memory.drop();
    return false;
  }

  takeReply(): Buffer | undefined {
    const reply = this.#reply;
    this.#reply = undefined;
    return reply;
  }

  /** Tickets come with the first bytes, or before them. */
  #tellSession(isLast: boolean): void {
    const tell = this.#onSession;
    if (tell === undefined) return;
    const session = this.#calls.sessionOf(this.#ssl);
    if (isLast || session !== undefined) this.#onSession = undefined;
    if (session !== undefined) tell(session);
  }

  seal(bytes: Uint8Array, at: number, length: number, into: Buffer): number {
    const calls = this.#calls;
    this.#records += Math.ceil(length / maxContentBytes);
    if (this.#records > this.#recordsPerKey) {
      this.#records = 0;
      calls.updateKey(this.#ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    }
    if (calls.write(this.#ssl, bytes, at, length) !== length) this.#break(calls.errorReason());
    return this.#memory.takeWrittenInto(into);
  }

  end(): Buffer {
    this.#calls.clearErrors();
    this.#calls.shutdown(this.#ssl);
    return this.#memory.takeWritten();
  }

  breakOff(reason: string): MeshError {
    return this.#break(reason);
  }

  #break(reason: string): MeshError {
    this.#calls.clearErrors();
    this.#memory.drop();
    this.error = broken(reason);
    return this.error;
  }
}
