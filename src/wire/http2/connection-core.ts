/**
 * What the parts of a connection share: its streams from their opening to their end, and errors of both sizes.
 *
 * A stream error resets the one stream; a connection error (`fatal`) writes a GOAWAY, makes every part answer "no more"
 * to the frame reader, and tells the owner, who closes when the bytes are out.
 *
 * Not here: which frames lead to what (incoming-heads.ts, incoming-data.ts, control-frames.ts).
 */

import { Calm, costOfStream, gainOfAnswer } from "./calm.ts";
import type { Http2Events } from "./events.ts";
import { putGoaway, putReset } from "./frame-writer.ts";
import { CANCEL, ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR } from "./protocol.ts";
import { ReceiveWindows, streamWindowBytes } from "./receive-windows.ts";
import { Http2Sender, type SenderEvents } from "./sender.ts";
import { Http2Stream } from "./stream.ts";
import { type Role, StreamTable } from "./stream-table.ts";

export class ConnectionCore<T> implements SenderEvents<T> {
  readonly role: Role;
  readonly events: Http2Events<T>;
  readonly calm: Calm = new Calm();
  readonly streams: StreamTable<T>;
  readonly sender: Http2Sender<T>;
  readonly windows: ReceiveWindows<T>;
  /** Of the present read: milliseconds, monotonic. */
  now = 0;
  /** A connection error has happened. */
  isLost = false;

  constructor(role: Role, events: Http2Events<T>, allocate?: (bytes: number) => Uint8Array) {
    this.role = role;
    this.events = events;
    this.streams = new StreamTable<T>(role);
    this.sender = new Http2Sender<T>(this, this.calm, allocate);
    this.windows = new ReceiveWindows<T>(this.sender.out, role === "client");
  }

  // ---- streams -----------------------------------------------------------------------------------

  open(id: number): Http2Stream<T> {
    const { initialWindowBytes } = this.sender.settings;
    const stream = new Http2Stream<T>(id, initialWindowBytes, streamWindowBytes, this.now);
    this.streams.add(stream);
    return stream;
  }

  /** Ends a stream that is not wanted any more. No event follows. */
  reset(stream: Http2Stream<T>, code: number = CANCEL): void {
    if (stream.isClosed) return;
    this.close(stream);
    this.writeReset(stream.id, code);
  }

  /** The peer broke a rule on it. What was begun is for nothing, as where the peer resets it itself (CVE-2025-8671). */
  streamError(stream: Http2Stream<T>, code: number): void {
    stream.isBroken = true;
    this.reset(stream, code);
    this.events.onReset(stream, code);
    this.spend(costOfStream, "broken streams");
  }

  /** Resets a stream that need not have been opened. */
  writeReset(streamId: number, code: number): void {
    putReset(this.sender.out, streamId, code);
    this.streams.rememberReset(streamId);
  }

  onLocalEnd(stream: Http2Stream<T>): void {
    if (this.role === "server") {
      this.calm.gain(gainOfAnswer);
      // RFC 9113 §8.1: the answer is complete, the rest of the request need not come.
      if (!stream.isRemoteDone) this.reset(stream, NO_ERROR);
    }
    this.closeIfDone(stream);
  }

  onDrained(stream: Http2Stream<T>): void {
    this.events.onDrained(stream);
  }

  /** Both sides have said all. */
  closeIfDone(stream: Http2Stream<T>): void {
    const isSent = stream.isLocalDone && stream.queuedBytes === 0;
    if (isSent && stream.isRemoteDone) this.close(stream);
  }

  close(stream: Http2Stream<T>): void {
    if (stream.isClosed) return;
    stream.isClosed = true;
    this.streams.delete(stream);
    this.sender.forget(stream);
    this.windows.forget(stream);
  }

  // ---- errors ------------------------------------------------------------------------------------

  /** A message that must not be understood (RFC 9113 §8.1.1). */
  malformed(stream: Http2Stream<T>): void {
    this.streamError(stream, PROTOCOL_ERROR);
  }

  /** Work that leads to nothing. False: there was too much of it, and the connection is lost. */
  spend(cost: number, what: string): boolean {
    if (this.calm.spend(cost)) return true;
    this.fatal(ENHANCE_YOUR_CALM, `too many ${what}`);
    return false;
  }

  fatal(code: number, reason: string): void {
    if (this.isLost) return;
    this.isLost = true;
    putGoaway(this.sender.out, this.streams.lastPeerId, code, reason);
    this.events.onFatal(code, reason);
  }
}
