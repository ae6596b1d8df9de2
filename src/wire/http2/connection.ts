/**
 * One end of an HTTP/2 connection (RFC 9113), client or server, without I/O: bytes in (`read`), bytes out
 * (`sender.out`), events to the owner (events.ts).
 *
 * Here is what stands where on the connection as a whole: preface, SETTINGS first, nothing between the parts of a
 * header block; each frame then goes to the part that knows its kind. What the parts share is in connection-core.ts.
 *
 * Limits on the peer: streams at a time, the bytes of a head, data beyond the windows, and work that leads to nothing
 * (calm.ts). Priorities are read and ignored, as RFC 9113 §5.3 wishes; push is refused.
 *
 * Time comes with `read`. Not here: what requests mean, which connection to use, when to give up.
 */

import type { ReadText } from "../hpack/decoder.ts";
import { ConnectionCore } from "./connection-core.ts";
import { ControlFrames } from "./control-frames.ts";
import type { Http2Events } from "./events.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { putGoaway, putPing, putSettings, putWindowUpdate } from "./frame-writer.ts";
import { IncomingData } from "./incoming-data.ts";
import { IncomingHeads } from "./incoming-heads.ts";
import {
  CANCEL,
  clientPreface,
  defaultFrameBytes,
  defaultWindowBytes,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_HEADERS,
  FRAME_SETTINGS,
  maxStreamId,
  NO_ERROR,
  PROTOCOL_ERROR,
  SETTINGS_ENABLE_CONNECT_PROTOCOL,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_HEADER_LIST_SIZE,
} from "./protocol.ts";
import { connectionWindowBytes, streamWindowBytes } from "./receive-windows.ts";
import type { Http2Sender, RequestLine } from "./sender.ts";
import type { Http2Stream } from "./stream.ts";
import { maxConcurrentStreams, type Role } from "./stream-table.ts";
import { maxHeadBytes, type Vocabulary } from "./translated-head.ts";

export interface Http2Options {
  readonly vocabulary: Vocabulary;
  readonly readText?: ReadText;
  readonly allocate?: (bytes: number) => Uint8Array;
}

const emptyPing = new Uint8Array(8);

export class Http2Connection<T> implements FrameSink {
  readonly sender: Http2Sender<T>;
  readonly #core: ConnectionCore<T>;
  readonly #reader: FrameReader;
  readonly #heads: IncomingHeads<T>;
  readonly #data: IncomingData<T>;
  readonly #control: ControlFrames<T>;
  #prefaceAt: number;

  constructor(role: Role, events: Http2Events<T>, options: Http2Options) {
    const core = new ConnectionCore<T>(role, events, options.allocate);
    this.#core = core;
    this.sender = core.sender;
    this.#reader = new FrameReader(this, defaultFrameBytes);
    this.#heads = new IncomingHeads<T>(core, options.vocabulary, options.readText);
    this.#data = new IncomingData<T>(core);
    this.#control = new ControlFrames<T>(core);
    this.#prefaceAt = role === "server" ? 0 : clientPreface.length;
    this.#greet();
  }

  get openStreams(): number {
    return this.#core.streams.size;
  }

  get streams(): Iterable<Http2Stream<T>> {
    return this.#core.streams.all;
  }

  /** A connection error has happened. */
  get isLost(): boolean {
    return this.#core.isLost;
  }

  /** Which frame or header block is incomplete, so that whoever asks again sees whether it is the same; 0: none. */
  get incomplete(): number {
    if (!this.#control.hasSettings) return -1;
    if (this.#heads.openBlock !== 0) return -this.#heads.openBlock;
    return this.#reader.isInFrame ? this.#reader.begunTotal + 1 : 0;
  }

  /** What is kept of incomplete messages, and of data that waits for the peer's windows. */
  get heldBytes(): number {
    let held = this.#reader.heldBytes + this.#heads.heldBytes;
    for (const stream of this.#core.streams.all) held += stream.queuedBytes;
    return held;
  }

  /** Whether the server takes other protocols than HTTP (RFC 8441); undefined: it has not said yet. */
  get takesExtendedConnect(): boolean | undefined {
    return this.#control.hasSettings ? this.sender.settings.takesExtendedConnect : undefined;
  }

  /** Streams that may be opened now (client). */
  get room(): number {
    if (this.#control.isGoingAway || this.#core.isLost || !this.#core.streams.hasIds) return 0;
    const limit = Math.min(this.sender.settings.maxConcurrentStreams, maxConcurrentStreams);
    return Math.max(0, limit - this.#core.streams.size);
  }

  #greet(): void {
    const { out } = this.sender;
    if (this.#core.role === "client") {
      out.reserve(clientPreface.length);
      out.putText(clientPreface);
    }
    const ownRole: readonly (readonly [number, number])[] =
      this.#core.role === "client"
        ? [[SETTINGS_ENABLE_PUSH, 0]]
        : [
            [SETTINGS_MAX_CONCURRENT_STREAMS, maxConcurrentStreams],
            [SETTINGS_ENABLE_CONNECT_PROTOCOL, 1],
          ];
    putSettings(out, [
      ...ownRole,
      [SETTINGS_INITIAL_WINDOW_SIZE, streamWindowBytes],
      [SETTINGS_MAX_HEADER_LIST_SIZE, maxHeadBytes],
    ]);
    putWindowUpdate(out, 0, connectionWindowBytes - defaultWindowBytes);
  }

  // ---- in ----------------------------------------------------------------------------------------

  /** Takes in what arrived; `now` in milliseconds, monotonic. */
  read(bytes: Uint8Array, start: number, end: number, now: number): void {
    const core = this.#core;
    if (core.isLost) return;
    core.now = now;
    core.calm.tick(now);
    let at = start;
    while (this.#prefaceAt < clientPreface.length) {
      if (at === end) return;
      if (bytes[at++] !== clientPreface.charCodeAt(this.#prefaceAt++)) {
        core.fatal(PROTOCOL_ERROR, "no HTTP/2 preface");
        return;
      }
    }
    this.#reader.read(bytes, at, end);
  }

  onBadFrame(code: number, reason: string): void {
    this.#core.fatal(code, reason);
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
    if (type === FRAME_HEADERS) this.#heads.begin(streamId, flags, bytes, start, end);
    else if (type === FRAME_CONTINUATION) this.#heads.goOn(flags, bytes, start, end);
    else this.#control.take(type, flags, streamId, bytes, start, end);
    return !this.#core.isLost;
  }

  onDataFrame(streamId: number, length: number): boolean {
    return this.#mayCome(FRAME_DATA, streamId) && this.#data.begin(streamId, length);
  }

  onDataBytes(
    _streamId: number,
    flags: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    isLast: boolean,
  ): boolean {
    return this.#data.take(flags, bytes, start, end, isLast);
  }

  /** What may stand where on the connection as a whole. */
  #mayCome(type: number, streamId: number): boolean {
    if (!this.#control.hasSettings && type !== FRAME_SETTINGS) {
      this.#core.fatal(PROTOCOL_ERROR, "no SETTINGS at the beginning");
      return false;
    }
    // RFC 9113 §4.3: nothing comes between the parts of a header block.
    const isContinuation = type === FRAME_CONTINUATION;
    const open = this.#heads.openBlock;
    if (isContinuation ? open !== streamId : open !== 0) {
      this.#core.fatal(PROTOCOL_ERROR, `frame of type ${type} out of place at a header block`);
      return false;
    }
    return true;
  }

  // ---- for the owner -----------------------------------------------------------------------------

  /** Opens a stream with a request (client); there must be `room`. */
  request(
    owner: T,
    line: RequestLine,
    lines: string,
    isEnd: boolean,
    sensitive?: ReadonlySet<string>,
  ): Http2Stream<T> {
    const stream = this.#core.open(this.#core.streams.takeId());
    stream.owner = owner;
    stream.asksForHead = line.method === "HEAD";
    this.sender.sendRequest(stream, line, lines, isEnd, sensitive);
    return stream;
  }

  /** Ends a stream that is not wanted any more. No event follows. */
  reset(stream: Http2Stream<T>, code: number = CANCEL): void {
    this.#core.reset(stream, code);
  }

  /** The owner needs the head that it was just given for longer. */
  keepHead(): void {
    this.#heads.keepHead();
  }

  /** From now on the peer gets no more window for this stream: what it sends is not consumed. */
  hold(stream: Http2Stream<T>): void {
    stream.isHeld = true;
  }

  /** What came while the stream was held has been consumed. */
  release(stream: Http2Stream<T>): void {
    if (!stream.isHeld) return;
    stream.isHeld = false;
    if (!stream.isClosed) this.#core.windows.consumeHeld(stream);
  }

  /** Asks whether the other end is there; `onPong` tells of its answer. */
  ping(): void {
    if (!this.#core.isLost) putPing(this.sender.out, false, emptyPing, 0);
  }

  /** Says that no more streams will be taken, and takes those that are on their way. */
  announceEnd(): void {
    if (this.#core.isLost) return;
    putGoaway(this.sender.out, maxStreamId, NO_ERROR, "");
    this.ping(); // whose answer says that the announcement has been read
  }

  /** From now on new streams are not looked at; whoever opened them may try elsewhere. */
  takeNoMore(): void {
    const { isLost, streams } = this.#core;
    if (isLost || streams.lastTakenId !== maxStreamId) return;
    streams.lastTakenId = streams.lastPeerId;
    putGoaway(this.sender.out, streams.lastPeerId, NO_ERROR, "");
  }
}
