/**
 * What the peer may still send: the window of the connection and those of its streams (RFC 9113 §5.2), from the
 * receiving end.
 *
 * Bytes leave a window when they arrive and come back once they are consumed; the peer is told when enough have come
 * together, so that a small read costs no frame. A stream that is held (its bytes have nowhere to go) gets nothing back
 * until it is released, which stops its peer and nobody else.
 *
 * A server's connection has one client, and what that one does not take counts for the connection, too: so much it can
 * make us hold. A client's connection carries answers for many. Whoever of them takes nothing must not stop the others,
 * so the connection's window comes back as bytes arrive, and each stream alone is held.
 */

import type { Output } from "../hpack/output.ts";
import { putWindowUpdate } from "./frame-writer.ts";
import type { Http2Stream } from "./stream.ts";

/** What a peer may send ahead on one stream: 256 kB lets one stream fill 1 Gbit/s at 2 ms. */
export const streamWindowBytes: number = 256 * 1024;
/** … and on all streams together: what a client may make us hold. 64 streams may be stuck before its others are. */
export const connectionWindowBytes: number = 16 * 1024 * 1024;

export class ReceiveWindows<T> {
  readonly #out: Output;
  readonly #isForMany: boolean;
  #window = connectionWindowBytes;
  /** Consumed, and not told to the peer yet. */
  #uncredited = 0;

  /**
   * `out`: where window updates are written. `isForMany`: the streams are not one peer's, who would have to wait for
   * itself.
   */
  constructor(out: Output, isForMany: boolean) {
    this.#out = out;
    this.#isForMany = isForMany;
  }

  /** A frame of data arrived, padding included. False: it is more than the connection's window. */
  take(length: number): boolean {
    this.#window -= length;
    return this.#window >= 0;
  }

  /** The same for its stream's window. */
  takeFor(stream: Http2Stream<T>, length: number): boolean {
    stream.receiveWindow -= length;
    return stream.receiveWindow >= 0;
  }

  /** Bytes of no stream, or of one that is gone, are off our hands. */
  credit(length: number): void {
    this.#uncredited += length;
    if (this.#uncredited < connectionWindowBytes / 4) return;
    putWindowUpdate(this.#out, 0, this.#uncredited);
    this.#window += this.#uncredited;
    this.#uncredited = 0;
  }

  /** Bytes of a stream are on our hands until `consumeHeld`. */
  hold(stream: Http2Stream<T>, length: number): void {
    stream.heldBytes += length;
    if (this.#isForMany) this.credit(length);
  }

  /** What nobody wants to have, padding, is off our hands at once. */
  skip(stream: Http2Stream<T>, length: number): void {
    this.credit(length);
    this.#open(stream, length);
  }

  #open(stream: Http2Stream<T>, length: number): void {
    if (stream.isRemoteDone || stream.isClosed) return;
    stream.uncredited += length;
    if (stream.uncredited < streamWindowBytes / 2) return;
    putWindowUpdate(this.#out, stream.id, stream.uncredited);
    stream.receiveWindow += stream.uncredited;
    stream.uncredited = 0;
  }

  /** What came while the stream was held has been consumed. */
  consumeHeld(stream: Http2Stream<T>): void {
    const { heldBytes } = stream;
    stream.heldBytes = 0;
    if (!this.#isForMany) this.credit(heldBytes);
    this.#open(stream, heldBytes);
  }

  /** The stream is closed: nobody will consume what it held. */
  forget(stream: Http2Stream<T>): void {
    if (!this.#isForMany) this.credit(stream.heldBytes);
    stream.heldBytes = 0;
  }
}
