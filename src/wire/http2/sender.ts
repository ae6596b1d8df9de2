/**
 * The sending half of a connection: header blocks, and data as far as the peer's windows let it go.
 *
 * Everything is written into one output, whose owner sends it when it sees fit. Data beyond a window is copied into its
 * stream's queue and leaves when a window opens; streams that wait for the connection's window take turns, a frame
 * each. A queue is bounded by whoever fills it: it must stop when `sendData` leaves something queued (see the table in
 * proxy/codec/transport.ts).
 */

import { HpackEncoder } from "../hpack/encoder.ts";
import { Output } from "../hpack/output.ts";
import type { Calm } from "./calm.ts";
import { gainOfDataLetOut, gainOfDataSent } from "./calm.ts";
import { beginHeaders, endHeaders, putData } from "./frame-writer.ts";
import { encodeLines } from "./lines.ts";
import { defaultFrameBytes, defaultWindowBytes, maxWindowBytes } from "./protocol.ts";
import { PeerSettings } from "./settings.ts";
import type { Http2Stream } from "./stream.ts";

/** Larger frames would only make others wait, also where the peer would take them. */
const maxFrameBytes = defaultFrameBytes;

export interface SenderEvents<T> {
  /** END_STREAM has been written. */
  onLocalEnd(stream: Http2Stream<T>): void;
  /** Nothing is queued any more, and the stream may take more. */
  onDrained(stream: Http2Stream<T>): void;
}

export interface RequestLine {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  /** Of an extended CONNECT (RFC 8441); only to servers that take it. */
  readonly protocol?: string;
}

export class Http2Sender<T> {
  readonly out: Output;
  readonly settings: PeerSettings = new PeerSettings();
  readonly #encoder = new HpackEncoder();
  readonly #events: SenderEvents<T>;
  readonly #calm: Calm;
  #window = defaultWindowBytes;
  /** Streams that have data and a window of their own, and wait for the connection's. */
  readonly #waiting = new Set<Http2Stream<T>>();

  constructor(events: SenderEvents<T>, calm: Calm, allocate?: (bytes: number) => Uint8Array) {
    this.#events = events;
    this.#calm = calm;
    this.out = new Output(allocate);
  }

  // ---- heads -------------------------------------------------------------------------------------

  sendRequest(
    stream: Http2Stream<T>,
    line: RequestLine,
    lines: string,
    isEnd: boolean,
    sensitive?: ReadonlySet<string>,
  ): void {
    const { out } = this;
    const encoder = this.#encoder;
    const start = beginHeaders(out);
    encoder.beginBlock(out);
    encoder.encodeLine(out, `:method: ${line.method}`);
    encoder.encodeLine(out, `:scheme: ${line.scheme}`);
    encoder.encodeLine(out, `:path: ${line.path}`);
    encoder.encodeLine(out, `:authority: ${line.authority}`);
    if (line.protocol !== undefined) encoder.encodeLine(out, `:protocol: ${line.protocol}`);
    encodeLines(encoder, out, lines, sensitive);
    this.#endHead(stream, start, isEnd);
  }

  /** An interim answer where `status` is below 200; then `isEnd` is false. */
  sendResponse(
    stream: Http2Stream<T>,
    status: number,
    lines: string,
    isEnd: boolean,
    sensitive?: ReadonlySet<string>,
  ): void {
    if (stream.isClosed) return;
    const { out } = this;
    const start = beginHeaders(out);
    this.#encoder.beginBlock(out);
    this.#encoder.encodeLine(out, `:status: ${status}`);
    encodeLines(this.#encoder, out, lines, sensitive);
    if (status >= 200) stream.hasSentHead = true;
    this.#endHead(stream, start, isEnd);
  }

  /** Ends the stream with trailers, behind what is queued. */
  sendTrailers(stream: Http2Stream<T>, lines: string): void {
    if (stream.isClosed || stream.isLocalDone) return;
    stream.isLocalDone = true;
    if (stream.queuedBytes > 0) stream.queuedTrailers = lines;
    else this.#writeTrailers(stream, lines);
  }

  #writeTrailers(stream: Http2Stream<T>, lines: string): void {
    const start = beginHeaders(this.out);
    this.#encoder.beginBlock(this.out);
    encodeLines(this.#encoder, this.out, lines, undefined);
    this.#endHead(stream, start, true);
  }

  #endHead(stream: Http2Stream<T>, start: number, isEnd: boolean): void {
    const limit = Math.min(this.settings.maxFrameBytes, maxFrameBytes);
    endHeaders(this.out, start, stream.id, isEnd, limit);
    if (!isEnd) return;
    stream.isLocalDone = true;
    this.#events.onLocalEnd(stream);
  }

  // ---- data --------------------------------------------------------------------------------------

  /** Sends `bytes[start, end)`, which stay the caller's; what does not fit a window is copied. */
  sendData(
    stream: Http2Stream<T>,
    bytes: Uint8Array,
    start: number,
    end: number,
    isEnd: boolean,
  ): void {
    if (stream.isClosed || stream.isLocalDone) return;
    if (isEnd) stream.isLocalDone = true;
    if (stream.queuedBytes > 0) {
      this.#enqueue(stream, bytes, start, end);
      return;
    }
    const sent = this.#write(stream, bytes, start, end, isEnd);
    if (sent === end) return;
    this.#enqueue(stream, bytes, sent, end);
    if (stream.sendWindow > 0) this.#waiting.add(stream);
  }

  #enqueue(stream: Http2Stream<T>, bytes: Uint8Array, start: number, end: number): void {
    stream.queue.push(bytes, start, end);
  }

  /** Writes as many frames as the windows let through; answers where they end. END_STREAM goes with the last byte. */
  #write(
    stream: Http2Stream<T>,
    bytes: Uint8Array,
    start: number,
    end: number,
    isEnd: boolean,
  ): number {
    let at = start;
    while (at < end) {
      const room = Math.min(stream.sendWindow, this.#window, maxFrameBytes);
      if (room <= 0) return at;
      const next = Math.min(end, at + room);
      this.#calm.gain(gainOfDataSent(next - at));
      this.#writeFrame(stream, bytes, at, next, isEnd && next === end);
      at = next;
    }
    if (isEnd && start === end) this.#writeFrame(stream, bytes, end, end, true);
    return at;
  }

  #writeFrame(
    stream: Http2Stream<T>,
    bytes: Uint8Array,
    start: number,
    end: number,
    isEnd: boolean,
  ): void {
    stream.sendWindow -= end - start;
    this.#window -= end - start;
    putData(this.out, stream.id, bytes, start, end, isEnd);
    if (isEnd) this.#events.onLocalEnd(stream);
  }

  // ---- windows -----------------------------------------------------------------------------------

  /** False: the window would be larger than one may be (RFC 9113 §6.9.1). */
  growWindow(increment: number): boolean {
    this.#window += increment;
    if (this.#window > maxWindowBytes) return false;
    while (this.#window > 0 && this.#waiting.size > 0) {
      for (const stream of this.#waiting) {
        if (this.#window <= 0) return true;
        // To the end of the line, unless it is done or its own window is.
        this.#waiting.delete(stream);
        if (!stream.isClosed && this.#pumpFrame(stream)) this.#waiting.add(stream);
      }
    }
    return true;
  }

  growStreamWindow(stream: Http2Stream<T>, increment: number): boolean {
    stream.sendWindow += increment;
    if (stream.sendWindow > maxWindowBytes) return false;
    this.#pump(stream);
    return true;
  }

  #pump(stream: Http2Stream<T>): void {
    while (this.#pumpFrame(stream)) {
      if (this.#window > 0) continue;
      this.#waiting.add(stream);
      return;
    }
  }

  /** Sends one frame of what is queued. True: there is more, and the stream's own window is open. */
  #pumpFrame(stream: Http2Stream<T>): boolean {
    const { queue } = stream;
    if (queue.length === 0 || stream.isClosed) return false;
    const room = Math.min(stream.sendWindow, this.#window, maxFrameBytes);
    if (room <= 0) return stream.sendWindow > 0;
    const first = queue.first(room);
    queue.drop(first.length);
    const isDrained = queue.length === 0;
    const endsHere = isDrained && stream.isLocalDone && stream.queuedTrailers === undefined;
    this.#calm.gain(gainOfDataLetOut(first.length));
    this.#writeFrame(stream, first, 0, first.length, endsHere);
    if (!isDrained) return stream.sendWindow > 0;
    const trailers = stream.queuedTrailers;
    if (trailers !== undefined) this.#writeTrailers(stream, trailers);
    else if (!stream.isLocalDone) this.#events.onDrained(stream);
    return false;
  }

  /** The peer's SETTINGS have been taken in. False: a stream's window has become too large (RFC 9113 §6.9.2). */
  settingsChanged(windowBefore: number, streams: Iterable<Http2Stream<T>>): boolean {
    this.#encoder.setLimit(this.settings.leastTableBytes);
    this.#encoder.setLimit(this.settings.headerTableBytes);
    const difference = this.settings.initialWindowBytes - windowBefore;
    if (difference === 0) return true;
    for (const stream of streams) {
      if (!this.growStreamWindow(stream, difference)) return false;
    }
    return true;
  }

  /** The stream is gone: nothing of it is sent any more. */
  forget(stream: Http2Stream<T>): void {
    stream.queue.clear();
    stream.queuedTrailers = undefined;
    this.#waiting.delete(stream);
  }
}
