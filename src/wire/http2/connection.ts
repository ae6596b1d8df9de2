/**
 * One end of an HTTP/2 connection (RFC 9113), client or server, without I/O: bytes in (`read`), bytes out (`sender.out`),
 * events to the owner.
 *
 * Errors have two sizes. A stream error resets the one stream; a connection error (`#fatal`) writes a GOAWAY, stops reading
 * for good and tells the owner, who closes when the bytes are out. Heads that are wrong are decoded to the end even so,
 * because the field tables of both ends must stay alike.
 *
 * Limits on the peer: streams at a time, the bytes of a head, data beyond the windows, and work that leads to nothing
 * (calm.ts). Priorities are read and ignored, as RFC 9113 §5.3 wishes; push is refused.
 *
 * Time comes with `read`. Not here: what requests mean, which connection to use, when to give up.
 */

import { HpackDecoder, type ReadText } from "../hpack/decoder.ts";
import {
  Calm,
  costOfFrame,
  costOfStream,
  gainOfAnswer,
  gainOfDataReceived,
  hastyMs,
} from "./calm.ts";
import { FrameReader, type FrameSink, read32 } from "./frame-reader.ts";
import {
  putGoaway,
  putPing,
  putReset,
  putSettings,
  putSettingsAck,
  putWindowUpdate,
} from "./frame-writer.ts";
import { HeaderBlock } from "./header-block.ts";
import {
  CANCEL,
  COMPRESSION_ERROR,
  clientPreface,
  defaultFrameBytes,
  defaultWindowBytes,
  ENHANCE_YOUR_CALM,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLOW_CONTROL_ERROR,
  FRAME_CONTINUATION,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_PUSH_PROMISE,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
  maxStreamId,
  NO_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_HEADER_LIST_SIZE,
  STREAM_CLOSED,
} from "./protocol.ts";
import { connectionWindowBytes, ReceiveWindows, streamWindowBytes } from "./receive-windows.ts";
import { Http2Sender, type RequestLine, type SenderEvents } from "./sender.ts";
import { Http2Stream } from "./stream.ts";
import { type Role, StreamTable } from "./stream-table.ts";
import { maxHeadBytes, TranslatedHead, type Vocabulary } from "./translated-head.ts";

export interface Http2Events<T> {
  /** A request, or an answer (interim ones too, by their status). The head is only good until the call returns. */
  onHead(stream: Http2Stream<T>, head: TranslatedHead, isEnd: boolean): void;
  /** Data that belongs to the reader of the socket; see `hold` for how to slow the peer down. */
  onData(
    stream: Http2Stream<T>,
    bytes: Uint8Array,
    start: number,
    end: number,
    isEnd: boolean,
  ): void;
  /** The end, with trailers: lines in HTTP/2's form. */
  onTrailers(stream: Http2Stream<T>, lines: string): void;
  /** The stream is gone: reset by the peer, refused, or the peer broke a rule on it. */
  onReset(stream: Http2Stream<T>, code: number): void;
  /** A request whose head is larger than we take. The stream is open for an answer. */
  onHeadTooLarge(stream: Http2Stream<T>): void;
  /** What was queued is written. */
  onDrained(stream: Http2Stream<T>): void;
  /** An answer to a PING of ours, or to none. */
  onPong(): void;
  /** The peer takes no more streams; those that it will not look at have been told. */
  onGoaway(code: number): void;
  /** The connection is lost; a GOAWAY has been written. */
  onFatal(code: number, reason: string): void;
}

export interface Http2Options {
  readonly vocabulary: Vocabulary;
  readonly readText?: ReadText;
  readonly allocate?: (bytes: number) => Uint8Array;
}

const emptyPing = new Uint8Array(8);

/** Streams that a peer may have open at a time. Envoy's default. */
export const maxConcurrentStreams = 1_024;

export class Http2Connection<T> implements FrameSink, SenderEvents<T> {
  readonly role: Role;
  readonly sender: Http2Sender<T>;
  /** The peer has said that it takes no more streams. */
  isGoingAway = false;
  /** A connection error has happened. */
  isLost = false;
  readonly #events: Http2Events<T>;
  readonly #reader: FrameReader;
  readonly #decoder: HpackDecoder;
  readonly #calm = new Calm();
  readonly #streams: StreamTable<T>;
  readonly #vocabulary: Vocabulary;
  #head: TranslatedHead;
  readonly #block = new HeaderBlock();
  #now = 0;
  #prefaceAt: number;
  #hasSettings = false;
  readonly #windows: ReceiveWindows<T>;
  #dataStream: Http2Stream<T> | undefined;
  /** Bytes of the present DATA frame that have not been accounted for. */
  #dataLeft = 0;

  constructor(role: Role, events: Http2Events<T>, options: Http2Options) {
    this.role = role;
    this.#events = events;
    this.#streams = new StreamTable<T>(role);
    this.#reader = new FrameReader(this, defaultFrameBytes);
    this.#decoder = new HpackDecoder(undefined, options.readText);
    this.#vocabulary = options.vocabulary;
    this.#head = new TranslatedHead(options.vocabulary);
    this.sender = new Http2Sender<T>(this, this.#calm, options.allocate);
    this.#windows = new ReceiveWindows<T>(this.sender.out);
    this.#prefaceAt = role === "server" ? 0 : clientPreface.length;
    this.#greet();
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  get streams(): Iterable<Http2Stream<T>> {
    return this.#streams.all;
  }

  /** Whether bytes of a frame or of a header block are outstanding. */
  get isInMessage(): boolean {
    return this.#reader.isInFrame || this.#block.streamId !== 0 || !this.#hasSettings;
  }

  /** What is kept of incomplete messages, and of data that waits for the peer's windows. */
  get heldBytes(): number {
    let held = this.#reader.heldBytes + (this.#block.streamId === 0 ? 0 : this.#block.bytes.length);
    for (const stream of this.#streams.all) held += stream.queuedBytes;
    return held;
  }

  /** Streams that may be opened now (client). */
  get room(): number {
    if (this.isGoingAway || this.isLost || !this.#streams.hasIds) return 0;
    const limit = Math.min(this.sender.settings.maxConcurrentStreams, maxConcurrentStreams);
    return Math.max(0, limit - this.#streams.size);
  }

  #greet(): void {
    const { out } = this.sender;
    if (this.role === "client") {
      out.reserve(clientPreface.length);
      out.putText(clientPreface);
    }
    putSettings(out, [
      this.role === "client"
        ? [SETTINGS_ENABLE_PUSH, 0]
        : [SETTINGS_MAX_CONCURRENT_STREAMS, maxConcurrentStreams],
      [SETTINGS_INITIAL_WINDOW_SIZE, streamWindowBytes],
      [SETTINGS_MAX_HEADER_LIST_SIZE, maxHeadBytes],
    ]);
    putWindowUpdate(out, 0, connectionWindowBytes - defaultWindowBytes);
  }

  // ---- in ----------------------------------------------------------------------------------------

  /** Takes in what arrived; `now` in milliseconds, monotonic. */
  read(bytes: Uint8Array, start: number, end: number, now: number): void {
    this.#now = now;
    this.#calm.tick(now);
    let at = start;
    while (this.#prefaceAt < clientPreface.length) {
      if (at === end || this.isLost) return;
      if (bytes[at++] !== clientPreface.charCodeAt(this.#prefaceAt++)) {
        this.#fatal(PROTOCOL_ERROR, "no HTTP/2 preface");
        return;
      }
    }
    this.#reader.read(bytes, at, end);
  }

  onBadFrame(code: number, reason: string): void {
    this.#fatal(code, reason);
  }

  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    if (!this.#mayCome(type, streamId)) return false;
    switch (type) {
      case FRAME_HEADERS:
        this.#block.begin(streamId, (flags & FLAG_END_STREAM) !== 0);
        this.#onFragment(flags, bytes, start, end);
        break;
      case FRAME_CONTINUATION:
        this.#onFragment(flags, bytes, start, end);
        break;
      case FRAME_RST_STREAM:
        this.#onRst(streamId, read32(bytes, start));
        break;
      case FRAME_SETTINGS:
        this.#onSettings(flags, bytes, start, end);
        break;
      case FRAME_PUSH_PROMISE:
        this.#fatal(PROTOCOL_ERROR, "push, which was never allowed");
        break;
      case FRAME_PING:
        if ((flags & FLAG_ACK) !== 0) this.#events.onPong();
        else if (this.#spend(costOfFrame, "pings")) putPing(this.sender.out, true, bytes, start);
        break;
      case FRAME_GOAWAY:
        this.#onGoaway(read32(bytes, start) % 2 ** 31, read32(bytes, start + 4));
        break;
      case FRAME_WINDOW_UPDATE:
        this.#onWindowUpdate(streamId, read32(bytes, start) % 2 ** 31);
        break;
      case FRAME_PRIORITY:
        if (read32(bytes, start) % 2 ** 31 === streamId) {
          this.#fatal(PROTOCOL_ERROR, `stream ${streamId} depends on itself`);
        } else this.#spend(costOfFrame, "priorities");
        break;
      default:
        this.#spend(costOfFrame, "unknown frames"); // RFC 9113 §5.5: ignored
    }
    return !this.isLost;
  }

  /** What may stand where on the connection as a whole. */
  #mayCome(type: number, streamId: number): boolean {
    if (!this.#hasSettings && type !== FRAME_SETTINGS) {
      this.#fatal(PROTOCOL_ERROR, "no SETTINGS at the beginning");
      return false;
    }
    // RFC 9113 §4.3: nothing comes between the parts of a header block.
    const isContinuation = type === FRAME_CONTINUATION;
    const { streamId: open } = this.#block;
    if (isContinuation ? open !== streamId : open !== 0) {
      this.#fatal(PROTOCOL_ERROR, `frame of type ${type} out of place at a header block`);
      return false;
    }
    return true;
  }

  // ---- heads -------------------------------------------------------------------------------------

  #onFragment(flags: number, bytes: Uint8Array, start: number, end: number): void {
    const block = this.#block;
    const isLast = (flags & FLAG_END_HEADERS) !== 0;
    if (!block.add(bytes, start, end, isLast)) {
      this.#fatal(ENHANCE_YOUR_CALM, "header block too long");
      return;
    }
    if (!isLast) return;
    const { streamId } = block;
    block.streamId = 0;
    this.#onBlock(streamId, block.isEnd, block.bytes, block.start, block.end);
    block.release();
  }

  #onBlock(streamId: number, isEnd: boolean, bytes: Uint8Array, start: number, end: number): void {
    const known = this.#streams.get(streamId);
    const isOurs = this.#streams.isOurs(streamId);
    const isIdle = known === undefined && this.#streams.isIdle(streamId);
    const isNew = isIdle && !isOurs;
    if (known === undefined && !isNew && !this.#streams.wasReset(streamId)) {
      this.#fatal(isIdle ? PROTOCOL_ERROR : STREAM_CLOSED, `HEADERS on stream ${streamId}`);
      return;
    }
    if (isNew && this.role === "client") {
      this.#fatal(PROTOCOL_ERROR, `the server opens stream ${streamId}`);
      return;
    }
    const head = this.#head;
    const isTrailers = known?.hasHead === true;
    head.begin(isTrailers ? "trailers" : this.role === "server" ? "request" : "response");
    if (this.#decoder.decode(bytes, start, end, head) !== undefined) {
      this.#fatal(COMPRESSION_ERROR, `header block of stream ${streamId}`);
      return;
    }
    const isWhole = head.finish();
    if (isNew) this.#onRequest(streamId, head, isWhole, isEnd);
    else if (known !== undefined) this.#onFurtherHead(known, head, isWhole, isEnd);
  }

  #onRequest(streamId: number, head: TranslatedHead, isWhole: boolean, isEnd: boolean): void {
    this.#streams.lastPeerId = streamId;
    if (streamId > this.#streams.lastTakenId) return; // after our GOAWAY
    if (this.#streams.size >= maxConcurrentStreams) {
      if (this.#spend(costOfStream, "streams beyond the limit")) {
        this.#writeReset(streamId, REFUSED_STREAM);
      }
      return;
    }
    const stream = this.#openStream(streamId);
    stream.hasHead = true;
    stream.isRemoteDone = isEnd;
    stream.expectedBytes = head.contentLength;
    if (head.isMalformed || (isEnd && head.contentLength > 0)) this.#malformed(stream);
    else if (isWhole) this.#events.onHead(stream, head, isEnd);
    else this.#events.onHeadTooLarge(stream);
  }

  /** An answer's head, or trailers of either side. */
  #onFurtherHead(
    stream: Http2Stream<T>,
    head: TranslatedHead,
    isWhole: boolean,
    isEnd: boolean,
  ): void {
    if (stream.isRemoteDone) {
      this.#streamError(stream, STREAM_CLOSED);
      return;
    }
    if (stream.hasHead) {
      if (!isWhole || !isEnd || !this.#isComplete(stream)) this.#malformed(stream);
      else {
        stream.isRemoteDone = true;
        this.#events.onTrailers(stream, head.text);
        this.#closeIfDone(stream);
      }
      return;
    }
    if (!isWhole && !head.isMalformed) {
      this.#events.onHeadTooLarge(stream);
      return;
    }
    const isInterim = head.status < 200;
    if (head.isMalformed || (isInterim && (isEnd || head.status === 101))) {
      this.#malformed(stream);
      return;
    }
    if (!isInterim) {
      stream.hasHead = true;
      stream.isRemoteDone = isEnd;
      // Such a length is that of another answer (RFC 9113 §8.1.1): an empty frame may still end this one.
      const isBodyless = stream.asksForHead || head.status === 204 || head.status === 304;
      stream.expectedBytes = isBodyless ? 0 : head.contentLength;
    } else if (!this.#spend(costOfFrame, "interim answers")) return;
    this.#events.onHead(stream, head, isEnd);
    if (isEnd) this.#closeIfDone(stream);
  }

  #malformed(stream: Http2Stream<T>): void {
    if (this.#spend(costOfStream, "malformed messages")) this.#streamError(stream, PROTOCOL_ERROR);
  }

  /** The owner needs the head that it was just given for longer. */
  keepHead(): void {
    this.#head = new TranslatedHead(this.#vocabulary);
  }

  // ---- data --------------------------------------------------------------------------------------

  onDataFrame(streamId: number, length: number): boolean {
    if (!this.#mayCome(0, streamId)) return false;
    if (!this.#windows.take(length)) {
      this.#fatal(FLOW_CONTROL_ERROR, "data beyond the connection's window");
      return false;
    }
    this.#dataLeft = length;
    this.#dataStream = undefined;
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#onStrayData(streamId);
    else if (stream.isRemoteDone) this.#streamError(stream, STREAM_CLOSED);
    else if (!stream.hasHead) this.#streamError(stream, PROTOCOL_ERROR);
    else if (this.#windows.takeFor(stream, length)) this.#dataStream = stream;
    else this.#streamError(stream, FLOW_CONTROL_ERROR);
    return !this.isLost;
  }

  onDataBytes(
    _streamId: number,
    flags: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    isLast: boolean,
  ): boolean {
    const stream = this.#dataStream;
    const length = end - start;
    if (stream === undefined || stream.isClosed) {
      // Nobody's: only the connection's window must not shrink for it.
      if (isLast) this.#windows.credit(this.#dataLeft);
      else this.#windows.credit(length);
      this.#dataLeft = isLast ? 0 : this.#dataLeft - length;
      return !this.isLost;
    }
    this.#dataLeft -= length;
    const isEnd = isLast && (flags & FLAG_END_STREAM) !== 0;
    if (isLast && this.#dataLeft > 0) {
      this.#windows.consume(stream, this.#dataLeft); // the padding
      this.#dataLeft = 0;
    }
    stream.receivedBytes += length;
    if (isEnd) stream.isRemoteDone = true;
    const isTooMuch = stream.expectedBytes >= 0 && stream.receivedBytes > stream.expectedBytes;
    if (isTooMuch || (isEnd && !this.#isComplete(stream))) {
      this.#windows.credit(length);
      this.#malformed(stream);
      return !this.isLost;
    }
    if (length > 0) this.#calm.gain(gainOfDataReceived);
    else if (!isEnd) return this.#spend(costOfFrame, "empty frames");
    stream.heldBytes += length;
    this.#events.onData(stream, bytes, start, end, isEnd);
    if (!stream.isHeld) this.#windows.consumeHeld(stream);
    if (isEnd) this.#closeIfDone(stream);
    return !this.isLost;
  }

  #onStrayData(streamId: number): void {
    if (this.#streams.isIdle(streamId)) {
      this.#fatal(PROTOCOL_ERROR, `DATA on idle stream ${streamId}`);
    } else if (streamId <= this.#streams.lastTakenId && !this.#streams.wasReset(streamId)) {
      if (this.#spend(costOfStream, "data on closed streams")) {
        this.#writeReset(streamId, STREAM_CLOSED);
      }
    }
  }

  #isComplete(stream: Http2Stream<T>): boolean {
    return stream.expectedBytes < 0 || stream.expectedBytes === stream.receivedBytes;
  }

  /** From now on the peer gets no more window for this stream: what it sends is not consumed. */
  hold(stream: Http2Stream<T>): void {
    stream.isHeld = true;
  }

  /** What came while the stream was held has been consumed. */
  release(stream: Http2Stream<T>): void {
    if (!stream.isHeld) return;
    stream.isHeld = false;
    if (!stream.isClosed) this.#windows.consumeHeld(stream);
  }

  // ---- control frames ----------------------------------------------------------------------------

  #onRst(streamId: number, code: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (this.#streams.isIdle(streamId))
        this.#fatal(PROTOCOL_ERROR, `RST_STREAM on idle ${streamId}`);
      else this.#spend(costOfFrame, "resets");
      return;
    }
    const isHasty = !stream.hasSentHead && this.#now - stream.startedAt < hastyMs;
    this.#close(stream);
    this.#events.onReset(stream, code);
    if (isHasty && this.role === "server") this.#spend(costOfStream, "streams reset at once");
  }

  #onSettings(flags: number, bytes: Uint8Array, start: number, end: number): void {
    if ((flags & FLAG_ACK) !== 0) return;
    this.#hasSettings = true;
    if (!this.#spend(costOfFrame, "settings")) return;
    const { settings } = this.sender;
    const windowBefore = settings.initialWindowBytes;
    const code = settings.apply(bytes, start, end, this.role === "client");
    if (code !== NO_ERROR) this.#fatal(code, "SETTINGS with a value that cannot be");
    else {
      putSettingsAck(this.sender.out);
      if (!this.sender.settingsChanged(windowBefore, [...this.#streams.all])) {
        this.#fatal(FLOW_CONTROL_ERROR, "a window grows too large");
      }
    }
  }

  #onGoaway(lastStreamId: number, code: number): void {
    this.isGoingAway = true;
    if (this.role === "client") {
      for (const stream of [...this.#streams.all]) {
        if (stream.id <= lastStreamId) continue;
        this.#close(stream);
        this.#events.onReset(stream, REFUSED_STREAM);
      }
    }
    this.#events.onGoaway(code);
  }

  #onWindowUpdate(streamId: number, increment: number): void {
    if (!this.#spend(costOfFrame, "window updates")) return;
    if (streamId === 0) {
      if (increment === 0) this.#fatal(PROTOCOL_ERROR, "window update of nothing");
      else if (!this.sender.growWindow(increment)) {
        this.#fatal(FLOW_CONTROL_ERROR, "the connection's window grows too large");
      }
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (this.#streams.isIdle(streamId))
        this.#fatal(PROTOCOL_ERROR, `WINDOW_UPDATE on idle ${streamId}`);
    } else if (increment === 0) this.#streamError(stream, PROTOCOL_ERROR);
    else if (!this.sender.growStreamWindow(stream, increment)) {
      this.#streamError(stream, FLOW_CONTROL_ERROR);
    }
  }

  // ---- streams -----------------------------------------------------------------------------------

  /** Opens a stream with a request (client); there must be `room`. */
  request(
    owner: T,
    line: RequestLine,
    lines: string,
    isEnd: boolean,
    sensitive?: ReadonlySet<string>,
  ): Http2Stream<T> {
    const stream = this.#openStream(this.#streams.takeId());
    stream.owner = owner;
    stream.asksForHead = line.method === "HEAD";
    this.sender.sendRequest(stream, line, lines, isEnd, sensitive);
    return stream;
  }

  #openStream(id: number): Http2Stream<T> {
    const { initialWindowBytes } = this.sender.settings;
    const stream = new Http2Stream<T>(id, initialWindowBytes, streamWindowBytes, this.#now);
    this.#streams.add(stream);
    return stream;
  }

  /** Ends a stream that is not wanted any more. No event follows. */
  reset(stream: Http2Stream<T>, code: number = CANCEL): void {
    if (stream.isClosed) return;
    this.#close(stream);
    this.#writeReset(stream.id, code);
  }

  #streamError(stream: Http2Stream<T>, code: number): void {
    this.reset(stream, code);
    this.#events.onReset(stream, code);
  }

  #writeReset(streamId: number, code: number): void {
    putReset(this.sender.out, streamId, code);
    this.#streams.rememberReset(streamId);
  }

  onLocalEnd(stream: Http2Stream<T>): void {
    if (this.role === "server") {
      this.#calm.gain(gainOfAnswer);
      // RFC 9113 §8.1: the answer is complete, the rest of the request need not come.
      if (!stream.isRemoteDone) this.reset(stream, NO_ERROR);
    }
    this.#closeIfDone(stream);
  }

  onDrained(stream: Http2Stream<T>): void {
    this.#events.onDrained(stream);
  }

  #closeIfDone(stream: Http2Stream<T>): void {
    const isSent = stream.isLocalDone && stream.queuedBytes === 0;
    if (isSent && stream.isRemoteDone) this.#close(stream);
  }

  #close(stream: Http2Stream<T>): void {
    if (stream.isClosed) return;
    stream.isClosed = true;
    this.#streams.delete(stream);
    this.sender.forget(stream);
    this.#windows.forget(stream);
  }

  // ---- endings -----------------------------------------------------------------------------------

  /** Says that no more streams will be taken, and takes those that are on their way. */
  announceEnd(): void {
    if (this.isLost) return;
    putGoaway(this.sender.out, maxStreamId, NO_ERROR, "");
    putPing(this.sender.out, false, emptyPing, 0); // whose answer says that the announcement has been read
  }

  /** From now on new streams are not looked at; whoever opened them may try elsewhere. */
  takeNoMore(): void {
    if (this.isLost || this.#streams.lastTakenId !== maxStreamId) return;
    this.#streams.lastTakenId = this.#streams.lastPeerId;
    putGoaway(this.sender.out, this.#streams.lastPeerId, NO_ERROR, "");
  }

  #spend(cost: number, what: string): boolean {
    if (this.#calm.spend(cost)) return true;
    this.#fatal(ENHANCE_YOUR_CALM, `too many ${what}`);
    return false;
  }

  #fatal(code: number, reason: string): void {
    if (this.isLost) return;
    this.isLost = true;
    this.#reader.stop();
    putGoaway(this.sender.out, this.#streams.lastPeerId, code, reason);
    this.#events.onFatal(code, reason);
  }
}
