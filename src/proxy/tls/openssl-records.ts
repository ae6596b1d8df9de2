/**
 * Records of a connection whose handshake is over, by OpenSSL: a client's, until the first data. Tickets come before that,
 * and only OpenSSL makes a session of one.
 *
 * Data is also the only sign that OpenSSL has nothing else of what came: a record may hold a ticket and a change of keys, or
 * the beginning of a second ticket, which OpenSSL keeps and does not tell of. No data comes in the middle of a message (RFC
 * 8446 §5.1).
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
  /** A server's ticket has come, since the handshake. */
  readonly hasTicket: () => boolean;
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
  readonly #hasTicket: OpenSslRecordOptions["hasTicket"];
  #onSession: OpenSslRecordOptions["onSession"] | undefined;
  #endsInData = false;
  #records = 0;
  #reply: Buffer | undefined;

  /** `ssl` stays its maker's to free. */
  constructor(calls: OpenSsl, ssl: Pointer, options: OpenSslRecordOptions) {
    this.#calls = calls;
    this.#ssl = ssl;
    this.#recordsPerKey = options.recordsPerKey;
    this.#hasTicket = options.hasTicket;
    this.#onSession = options.onSession;
  }

  /** Only OpenSSL can do what is left: a ticket may come, it has part of something, or an answer to send. */
  get isNeeded(): boolean {
    return (
      !this.#endsInData ||
      !this.#boundaries.isBetweenRecords ||
      this.#reply !== undefined ||
      this.#calls.owesKeyUpdate(this.#ssl) ||
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
      const { isRead } = this.#memory;
      const isRecord = !isRead || (length > 0 && this.#boundaries.isBetweenRecords);
      if (!hasRead && isRecord && !this.#patience.bears()) this.#break(tooManyWithoutData);
      if (isRead) break;
    }
    this.#endsInData = hasRead;
    this.isInMidMessage = !hasRead && this.error === undefined && calls.isInHandshake(ssl);
    if (filled > 0) this.#patience.renew();
    if (this.#memory.hasWritten) this.#reply = this.#memory.takeWritten();
    this.#tellSession();
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

  /** Of the first ticket. Before there is one, OpenSSL has the session that this connection itself went on from. */
  #tellSession(): void {
    const tell = this.#onSession;
    if (tell === undefined || this.error !== undefined || !this.#hasTicket()) return;
    this.#onSession = undefined;
    const session = this.#calls.sessionOf(this.#ssl);
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
