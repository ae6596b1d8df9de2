/**
 * One stream: what is open of it, its windows, and what waits for the peer's window.
 *
 * Its state (RFC 9113 §5.1) is in two flags: idle streams have no object, half-closed ones one flag, closed ones are
 * gone from their connection's table.
 */

import { ByteQueue } from "../../base/byte-queue.ts";

export class Http2Stream<Owner> {
  readonly id: number;
  readonly startedAt: number;
  /** Whoever uses the stream. */
  owner: Owner | undefined = undefined;

  /** We have sent END_STREAM, or it waits behind what is queued. */
  isLocalDone = false;
  /** The peer has sent END_STREAM. */
  isRemoteDone = false;
  /** Gone from the connection's table. */
  isClosed = false;
  /** The peer broke a rule on it: the reset that follows is ours. */
  isBroken = false;
  /** The request's or final answer's head has come. */
  hasHead = false;
  hasSentHead = false;

  /** What we may still send; below zero after the peer made its windows smaller. */
  sendWindow: number;
  /** What the peer may still send. */
  receiveWindow: number;
  /** Consumed, and not told to the peer yet. */
  uncredited = 0;
  /** Received and not consumed, while `isHeld`. */
  heldBytes = 0;
  isHeld = false;
  /** The answer has no body, whatever length it names: the request was HEAD. */
  asksForHead = false;
  /** Content-Length, or 0 where there is no body in any case; -1: none. */
  expectedBytes = -1;
  receivedBytes = 0;

  /** Data that waits for a window, in order. */
  readonly queue: ByteQueue = new ByteQueue();
  /** Lines of trailers that follow the queue; undefined: END_STREAM rides on the last data. */
  queuedTrailers: string | undefined = undefined;

  constructor(id: number, sendWindow: number, receiveWindow: number, startedAt: number) {
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.startedAt = startedAt;
  }

  get queuedBytes(): number {
    return this.queue.length;
  }

  /** All of the body has come that its head named. */
  get isComplete(): boolean {
    return this.expectedBytes < 0 || this.expectedBytes === this.receivedBytes;
  }
}
