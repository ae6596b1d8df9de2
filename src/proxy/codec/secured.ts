/**
 * TLS between a transport and its socket: what the transport writes leaves as records, what arrives is handed on in plain.
 *
 * All of it happens in memory that all connections share, within one call: what is written is sealed, and mostly with the
 * kernel, when the call returns; only records that the kernel had no room for keep memory of their own.
 */

import type { Socket } from "node:net";
import type { MeshError } from "../../base/error.ts";
import type { TlsConnection } from "../tls/connection.ts";
import { maxPlainBytes, maxSealedAtOnce, maxSealedBytes } from "../tls/record-layer.ts";
import { writeDirectly } from "./direct-write.ts";
import { keptCopy } from "./kept-bytes.ts";

/** Where reads are opened into. Touched by every read of every connection inside TLS. */
const sharedPlain: Buffer = Buffer.allocUnsafeSlow(maxPlainBytes);
/** Text on its way to becoming records. */
const unsealed = Buffer.allocUnsafeSlow(maxSealedAtOnce);
/** Records on their way to the kernel; another one once it has not taken them at once. */
let sealed = Buffer.allocUnsafeSlow(maxSealedBytes);

/** Replies to changes of keys that wait for a peer to read; one asks for a change once in 256 GiB. */
const maxRepliesBehind = 32;

/** Who gets what is inside; another one, maybe, from one call to the next. */
export interface Inside {
  readonly reader: { onBytes(bytes: Buffer, length: number): void; onEnd(): void };
  /** `mayWrite` was false, and no longer is. */
  onWritable(): void;
}

export class Secured {
  readonly connection: TlsConnection;
  readonly #socket: Socket;
  readonly #inside: Inside;
  #onSecure: (() => void) | undefined;
  /** What the present read was opened into, and what the next one is. */
  #inUse: Buffer = sharedPlain;
  #buffer: Buffer = sharedPlain;
  #isReady = false;
  /** Since the kernel last had all that was written. */
  #repliesBehind = 0;
  /** Nothing more is read: the peer has ended it, or it broke. */
  isReadDone = false;

  /** `onSecure`: as `Transport.secure` has it. */
  constructor(connection: TlsConnection, socket: Socket, inside: Inside, onSecure: () => void) {
    this.connection = connection;
    this.#socket = socket;
    this.#inside = inside;
    this.#onSecure = onSecure;
  }

  // ---- what arrives ----------------------------------------------------------------------------

  /** `bytes[0, length)` came off the wire; undefined: nothing has yet, and it is our turn to begin. */
  onRecords(bytes: Buffer | undefined, length: number): void {
    if (this.#isReady) {
      if (!this.isReadDone) this.#open(bytes, length);
      return;
    }
    const step = this.connection.handshake(bytes, length);
    this.#send(step.output);
    if (step.kind === "broken") this.#break(step.error);
    if (step.kind !== "done") return;
    this.#isReady = true;
    this.#open(undefined, 0);
  }

  /** The wire has ended. A FIN alone may be anybody's on the way (docs/adr/0014). */
  onFin(): void {
    if (!this.isReadDone)
      this.#break(this.connection.breakOff("the connection ended without close_notify"));
  }

  /** As `Transport` has it. */
  readInto(buffer: Buffer | undefined): void {
    this.#buffer = buffer ?? sharedPlain;
  }

  get ownsBuffer(): boolean {
    return this.#inUse !== sharedPlain;
  }

  #open(bytes: Buffer | undefined, length: number): void {
    const { connection } = this;
    const into = this.#buffer;
    const hasWaited = connection.isInMidMessage;
    const opened = connection.open(bytes, length, into);
    this.#reply(connection.takeReply());
    const onSecure = this.#onSecure;
    this.#onSecure = undefined;
    onSecure?.();
    if (opened > 0 && !this.#socket.destroyed) {
      this.#inUse = into;
      this.#inside.reader.onBytes(into, opened);
    }
    if (connection.error !== undefined) this.#break(connection.error);
    else {
      if (connection.hasPeerClosed && !this.isReadDone) this.#endReading();
      if (hasWaited && this.mayWrite) this.#inside.onWritable();
    }
  }

  #break(error: MeshError): void {
    this.isReadDone = true;
    this.#socket.destroy(error);
  }

  #endReading(): void {
    this.isReadDone = true;
    if (this.#socket.destroyed) return;
    // Some peers wait for our FIN before they send theirs; there is nothing to wait for when both have said their last word.
    if (this.#socket.writableEnded) this.#socket.destroySoon();
    this.#inside.reader.onEnd();
  }

  // ---- what leaves -----------------------------------------------------------------------------

  /** Latin1. */
  writeText(text: string): void {
    if (text.length > maxSealedAtOnce) {
      const bytes = Buffer.from(text, "latin1");
      this.write(bytes, 0, bytes.length);
    } else if (this.#isOpen) {
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
    } else if (this.#isOpen) {
      let at = unsealed.write(before, 0, "latin1");
      at += bytes.copy(unsealed, at, start, end);
      at += unsealed.write(after, at, "latin1");
      this.#seal(unsealed, 0, at);
    }
  }

  /** `written`: called when the kernel has all of it; the bytes themselves are done with when this returns. */
  write(bytes: Uint8Array, start: number, end: number, written?: () => void): void {
    for (let at = start; at < end && this.#isOpen; at += maxSealedAtOnce) {
      const length = Math.min(maxSealedAtOnce, end - at);
      this.#seal(bytes, at, length, at + length === end ? written : undefined);
    }
  }

  #seal(bytes: Uint8Array, at: number, length: number, written?: () => void): void {
    const records = this.connection.seal(bytes, at, length, sealed);
    if (this.connection.error !== undefined) this.#socket.destroy(this.connection.error);
    else if (this.#socket.writableLength > 0 && records <= maxSealedBytes / 4) {
      this.#socket.write(keptCopy(sealed, 0, records), written); // it will wait, and not with all of the room
    } else {
      if (written === undefined) writeDirectly(this.#socket, sealed.subarray(0, records));
      else this.#socket.write(sealed.subarray(0, records), written);
      if (this.#socket.writableLength > 0) sealed = Buffer.allocUnsafeSlow(maxSealedBytes);
    }
  }

  /** False: the peer has begun a message of TLS' own, and nothing can be written, nor ended, before its rest has come. */
  get mayWrite(): boolean {
    return !this.connection.isInMidMessage;
  }

  /** A peer that has many of them made, and takes none, would have them kept without bound. */
  #reply(records: Buffer | undefined): void {
    if (records === undefined) return;
    this.#repliesBehind = this.#socket.writableLength === 0 ? 0 : this.#repliesBehind + 1;
    if (this.#repliesBehind <= maxRepliesBehind) this.#send(records);
    else this.#break(this.connection.breakOff("too many replies that it does not read"));
  }

  /** Sends what is TLS' own. */
  #send(records: Buffer | undefined): void {
    if (records !== undefined && records.length > 0 && this.#isOpen) this.#socket.write(records);
  }

  /** Says that nothing more is sent. */
  end(): void {
    if (this.#isReady && this.#isOpen) this.#send(this.connection.end());
  }

  get #isOpen(): boolean {
    return !this.#socket.destroyed && !this.#socket.writableEnded;
  }
}
