/**
 * TLS between a transport and its socket: what the transport writes leaves as records, what arrives is handed on in plain.
 *
 * All of it happens in memory that all connections share, within one call: what is written is sealed, and mostly with the
 * kernel, when the call returns; only records that the kernel had no room for keep memory of their own.
 */

import type { Socket } from "node:net";
import {
  maxPlainBytes,
  maxSealedAtOnce,
  maxSealedBytes,
  type TlsConnection,
} from "../tls/connection.ts";

/** Where reads are opened into. Touched by every read of every connection inside TLS. */
export const sharedPlain: Buffer = Buffer.allocUnsafeSlow(maxPlainBytes);
/** Text on its way to becoming records. */
const unsealed = Buffer.allocUnsafeSlow(maxSealedAtOnce);
/** Records on their way to the kernel; another one once it has not taken them at once. */
let sealed = Buffer.allocUnsafeSlow(maxSealedBytes);

export class Secured {
  readonly connection: TlsConnection;
  readonly #socket: Socket;
  isReady = false;
  /** Nothing more is read: the peer has ended it, or it broke. */
  isReadDone = false;

  constructor(connection: TlsConnection, socket: Socket) {
    this.connection = connection;
    this.#socket = socket;
  }

  /** Latin1. */
  writeText(text: string): void {
    if (text.length > maxSealedAtOnce) {
      const bytes = Buffer.from(text, "latin1");
      this.write(bytes, 0, bytes.length);
    } else if (this.#mayWrite) {
      this.#seal(unsealed, 0, unsealed.write(text, 0, "latin1"));
    }
  }

  /** A text, bytes and another text as one: no record of its own for a few bytes. */
  writeAround(before: string, bytes: Buffer, start: number, end: number, after: string): void {
    const length = before.length + end - start + after.length;
    if (length > maxSealedAtOnce) {
      this.writeText(before);
      this.write(bytes, start, end);
      this.writeText(after);
    } else if (this.#mayWrite) {
      let at = unsealed.write(before, 0, "latin1");
      at += bytes.copy(unsealed, at, start, end);
      at += unsealed.write(after, at, "latin1");
      this.#seal(unsealed, 0, at);
    }
  }

  /** `written`: called when the kernel has all of it; the bytes themselves are done with when this returns. */
  write(bytes: Uint8Array, start: number, end: number, written?: () => void): void {
    for (let at = start; at < end && this.#mayWrite; at += maxSealedAtOnce) {
      const length = Math.min(maxSealedAtOnce, end - at);
      this.#seal(bytes, at, length, at + length === end ? written : undefined);
    }
  }

  #seal(bytes: Uint8Array, at: number, length: number, written?: () => void): void {
    const records = this.connection.seal(bytes, at, length, sealed);
    if (this.connection.error !== undefined) this.#socket.destroy(this.connection.error);
    else this.#socket.write(sealed.subarray(0, records), written);
    if (this.#socket.writableLength > 0) sealed = Buffer.allocUnsafeSlow(maxSealedBytes);
  }

  /** Sends what is TLS' own. */
  send(records: Buffer | undefined): void {
    if (records !== undefined && records.length > 0 && this.#mayWrite) this.#socket.write(records);
  }

  /** Says that nothing more is sent. */
  end(): void {
    if (this.isReady && this.#mayWrite) this.send(this.connection.end());
  }

  get #mayWrite(): boolean {
    return !this.#socket.destroyed && !this.#socket.writableEnded;
  }
}
