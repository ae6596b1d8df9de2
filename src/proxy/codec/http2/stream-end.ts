/**
 * A stream of HTTP/2 that carries another protocol (RFC 8441), as a tunnel has it: bytes for data, END_STREAM for a
 * FIN, a reset for an RST.
 *
 * Back-pressure is the stream's window, and the connection's socket: a write counts as written when neither holds
 * anything back. A paused reader is still given what the peer may send by its window, 256 KiB.
 */

import type { Http2Connection } from "../../../wire/http2/connection.ts";
import { CANCEL, NO_ERROR } from "../../../wire/http2/protocol.ts";
import type { Http2Stream } from "../../../wire/http2/stream.ts";
import type { TunnelEnd } from "../../tcp/tunnel-end.ts";
import type { Reader } from "../transport.ts";
import type { Outlet } from "./outlet.ts";
import { asBuffer } from "./vocabulary.ts";

const nothing = Buffer.alloc(0);
const nobody: Reader = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

export class StreamEnd<T> implements TunnelEnd {
  reader: Reader = nobody;
  readonly isTls = false;
  readonly readsByRecord = false;
  readonly consumesAtOnce = false;
  readonly ownsBuffer = false;
  readonly #connection: Http2Connection<T>;
  readonly #stream: Http2Stream<T>;
  readonly #outlet: Outlet;
  /** Told when what was queued has left. */
  #waiting: (() => void)[] = [];
  #closesWhenSent = false;
  #isGone = false;

  constructor(connection: Http2Connection<T>, stream: Http2Stream<T>, outlet: Outlet) {
    this.#connection = connection;
    this.#stream = stream;
    this.#outlet = outlet;
  }

  /** More than nothing for as long as a write is not through. */
  get queuedBytes(): number {
    return this.#waiting.length === 0 ? 0 : Math.max(1, this.#stream.queuedBytes);
  }

  get isBackedUp(): boolean {
    return this.#waiting.length > 0;
  }

  readInto(): void {}

  pause(): void {
    this.#connection.hold(this.#stream);
  }

  resume(): void {
    if (!this.#stream.isHeld) return;
    this.#connection.release(this.#stream);
    this.#outlet.wake();
  }

  writeOwned(bytes: Buffer, written: () => void): void {
    this.#connection.sender.sendData(this.#stream, bytes, 0, bytes.length, false);
    this.#outlet.wake();
    if (this.#isThrough) queueMicrotask(written);
    else this.#waiting.push(written);
  }

  get #isThrough(): boolean {
    return this.#stream.queuedBytes === 0 && !this.#outlet.isBackedUp;
  }

  end(): void {
    this.#connection.sender.sendData(this.#stream, nothing, 0, 0, true);
    this.#outlet.wake();
    this.#noteClosed();
  }

  close(): void {
    this.#closesWhenSent = true;
    this.end();
    this.onWritable();
  }

  destroy(): void {
    this.reset();
  }

  reset(): void {
    this.#connection.reset(this.#stream, CANCEL);
    this.#outlet.wake();
    this.#noteClosed();
  }

  // ---- what happens to the stream --------------------------------------------------------------

  onData(bytes: Uint8Array, start: number, end: number, isEnd: boolean): void {
    if (start < end) this.reader.onBytes(asBuffer(bytes).subarray(start, end), end - start);
    if (!isEnd) return;
    this.reader.onEnd();
    this.#noteClosed();
  }

  /** What was queued is written, and the socket takes more. */
  onWritable(): void {
    if (!this.#isThrough && !this.#stream.isClosed) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const written of waiting) written();
    if (this.#closesWhenSent) this.#connection.reset(this.#stream, NO_ERROR); // nothing where it has ended
    this.#noteClosed();
  }

  /** The peer has reset it, or the connection is gone. */
  onGone(): void {
    this.#tell(new Error("the stream was reset"));
  }

  /** A stream that both sides have ended is gone without a word, once the frame in hand has been dealt with. */
  #noteClosed(): void {
    queueMicrotask(() => {
      if (this.#stream.isClosed) this.#tell(undefined);
    });
  }

  #tell(error: Error | undefined): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.reader.onClose(error);
  }
}
