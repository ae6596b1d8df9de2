/**
 * Cuts arriving bytes into frames and checks what can be checked of a frame alone: sizes, padding, which stream it may
 * be on.
 *
 * DATA is handed on as it comes, in as many pieces as it arrives in, so a large frame is never put together. Every
 * other frame is short (16 KiB at most) and is handed over whole: in place when it lies within one read, otherwise from
 * a buffer that collects it.
 *
 * Not here: what the frames mean for streams and windows (connection.ts).
 */

import {
  FLAG_ACK,
  FLAG_PADDED,
  FLAG_PRIORITY,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_PUSH_PROMISE,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_SIZE_ERROR,
  FRAME_WINDOW_UPDATE,
  frameHeaderBytes,
  NO_ERROR,
  PROTOCOL_ERROR,
} from "./protocol.ts";

/** What the reader hands over. `false` from any of them stops the reading for good. */
export interface FrameSink {
  /** Before the first piece of a DATA frame: `length` is what flow control counts, padding included. */
  onDataFrame(streamId: number, length: number): boolean;
  /** A piece of a DATA frame without its padding; `isLast`: nothing of the frame's data follows. */
  onDataBytes(
    streamId: number,
    flags: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    isLast: boolean,
  ): boolean;
  /** Any other frame, its payload at `bytes[start, end)`, padding and priority of HEADERS cut off. */
  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean;
  /** The frame is wrong in itself: a connection error with this code (RFC 9113 §5.4.1). */
  onBadFrame(code: number, reason: string): void;
}

const HEADER = 0; // collecting the nine bytes of a frame header
const PAYLOAD = 1; // collecting a payload that is handed over whole
const PAD_LENGTH = 2; // the first byte of a padded DATA frame
const DATA = 3;
const PADDING = 4;
const SKIP = 5; // a frame of a type that nobody knows (RFC 9113 §4.1)
const STOPPED = 6;

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxBytes: number;
  readonly #header = new Uint8Array(frameHeaderBytes);
  #state = HEADER;
  /** Bytes of the header or payload collected so far, or of the data or padding still to come. */
  #count = 0;
  #payload: Uint8Array | undefined;
  #length = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  #padding = 0;

  /** `maxBytes`: the largest payload that we take. */
  constructor(sink: FrameSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  /** Frames that have begun. */
  begunTotal = 0;

  /** Whether the bytes so far end within a frame that is no DATA: that one may take its time. */
  get isInFrame(): boolean {
    const isInData = this.#state >= PAD_LENGTH && this.#state <= PADDING;
    return !isInData && (this.#state !== HEADER || this.#count > 0);
  }

  /** Of a frame that is being collected. */
  get heldBytes(): number {
    return this.#payload?.length ?? 0;
  }

  read(bytes: Uint8Array, from: number, end: number): void {
    let at = from;
    while (at < end) {
      switch (this.#state) {
        case HEADER:
          at = this.#readHeader(bytes, at, end);
          break;
        case PAYLOAD:
          at = this.#collect(bytes, at, end);
          break;
        case PAD_LENGTH:
          at = this.#readPadLength(bytes, at);
          break;
        case DATA:
          at = this.#readData(bytes, at, end);
          break;
        case PADDING:
        case SKIP: {
          const taken = Math.min(this.#count, end - at);
          this.#count -= taken;
          at += taken;
          if (this.#count === 0) this.#state = HEADER;
          break;
        }
        default:
          return;
      }
    }
  }

  /** Nothing is read any more. */
  stop(): void {
    this.#state = STOPPED;
    this.#payload = undefined;
  }

  #readHeader(bytes: Uint8Array, from: number, end: number): number {
    const header = this.#header;
    if (this.#count === 0 && end - from >= frameHeaderBytes) {
      this.#beginFrame(bytes, from);
      const at = from + frameHeaderBytes;
      // The common case: the whole payload is there, too.
      if (this.#state === PAYLOAD && end - at >= this.#length) {
        this.#state = HEADER;
        this.#deliver(bytes, at, at + this.#length);
        return at + this.#length;
      }
      return at;
    }
    let at = from;
    while (at < end && this.#count < frameHeaderBytes) header[this.#count++] = bytes[at++] ?? 0;
    if (this.#count === frameHeaderBytes) {
      this.#count = 0;
      this.#beginFrame(header, 0);
    }
    return at;
  }

  #beginFrame(bytes: Uint8Array, at: number): void {
    this.begunTotal++;
    const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const type = bytes[at + 3] ?? 0;
    const flags = bytes[at + 4] ?? 0;
    const streamId =
      (((bytes[at + 5] ?? 0) & 0x7f) << 24) |
      ((bytes[at + 6] ?? 0) << 16) |
      ((bytes[at + 7] ?? 0) << 8) |
      (bytes[at + 8] ?? 0);
    this.#length = length;
    this.#type = type;
    this.#flags = flags;
    this.#streamId = streamId;
    if (length > this.#maxBytes) {
      this.#fail(FRAME_SIZE_ERROR, `frame of ${length} bytes, ${this.#maxBytes} may come`);
      return;
    }
    const code = checkFrame(type, flags, streamId, length);
    if (code !== NO_ERROR) {
      this.#fail(code, `frame of type ${type} on stream ${streamId}, ${length} bytes`);
      return;
    }
    if (type === FRAME_DATA) this.#beginData();
    else {
      this.#state = type > FRAME_CONTINUATION ? SKIP : PAYLOAD;
      this.#count = type > FRAME_CONTINUATION ? length : 0;
      if (this.#state === SKIP) {
        if (length === 0) this.#state = HEADER;
        if (!this.#sink.onFrame(type, flags, streamId, bytes, 0, 0)) this.stop();
      } else if (length === 0) {
        this.#state = HEADER;
        this.#deliver(bytes, 0, 0);
      }
    }
  }

  // ---- whole frames ------------------------------------------------------------------------------

  #collect(bytes: Uint8Array, from: number, end: number): number {
    const payload = this.#payload ?? new Uint8Array(this.#length);
    this.#payload = payload;
    const taken = Math.min(this.#length - this.#count, end - from);
    payload.set(bytes.subarray(from, from + taken), this.#count);
    this.#count += taken;
    if (this.#count === this.#length) {
      this.#state = HEADER;
      this.#count = 0;
      this.#payload = undefined;
      this.#deliver(payload, 0, payload.length);
    }
    return from + taken;
  }

  #deliver(bytes: Uint8Array, from: number, to: number): void {
    const type = this.#type;
    const flags = this.#flags;
    let start = from;
    let end = to;
    if (type === FRAME_HEADERS || type === FRAME_PUSH_PROMISE) {
      if ((flags & FLAG_PADDED) !== 0) {
        const padding = bytes[start] ?? 0;
        start++;
        end -= padding;
      }
      if (type === FRAME_HEADERS && (flags & FLAG_PRIORITY) !== 0) {
        if (end - start >= 5 && dependsOnItself(bytes, start, this.#streamId)) {
          // RFC 7540 §5.3.1. Priorities are ignored, but a sender that writes this is not to be trusted with more.
          this.#fail(PROTOCOL_ERROR, `stream ${this.#streamId} depends on itself`);
          return;
        }
        start += 5;
      }
      if (start > end) {
        this.#fail(PROTOCOL_ERROR, "padding longer than its frame");
        return;
      }
    }
    if (!this.#sink.onFrame(type, flags, this.#streamId, bytes, start, end)) this.stop();
  }

  // ---- DATA --------------------------------------------------------------------------------------

  #beginData(): void {
    if (!this.#sink.onDataFrame(this.#streamId, this.#length)) {
      this.stop();
      return;
    }
    this.#padding = 0;
    this.#count = this.#length;
    this.#state = (this.#flags & FLAG_PADDED) !== 0 ? PAD_LENGTH : DATA;
    if (this.#state === DATA && this.#length === 0) this.#endData(this.#header, 0, 0);
  }

  #readPadLength(bytes: Uint8Array, at: number): number {
    this.#padding = bytes[at] ?? 0;
    this.#count = this.#length - 1 - this.#padding;
    if (this.#count < 0) {
      this.#fail(PROTOCOL_ERROR, "padding longer than its frame");
      return at + 1;
    }
    this.#state = DATA;
    if (this.#count === 0) this.#endData(bytes, at + 1, at + 1);
    return at + 1;
  }

  #readData(bytes: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.#count, end - at);
    this.#count -= taken;
    if (this.#count === 0) this.#endData(bytes, at, at + taken);
    else {
      const { onDataBytes } = this.#sink;
      if (!onDataBytes.call(this.#sink, this.#streamId, this.#flags, bytes, at, at + taken, false))
        this.stop();
    }
    return at + taken;
  }

  #endData(bytes: Uint8Array, start: number, end: number): void {
    this.#count = this.#padding;
    this.#state = this.#padding > 0 ? PADDING : HEADER;
    if (!this.#sink.onDataBytes(this.#streamId, this.#flags, bytes, start, end, true)) this.stop();
  }

  #fail(code: number, reason: string): void {
    this.stop();
    this.#sink.onBadFrame(code, reason);
  }
}

/** RFC 9113 §6: sizes and streams that a frame of each type must have. */
function checkFrame(type: number, flags: number, streamId: number, length: number): number {
  switch (type) {
    case FRAME_DATA:
    case FRAME_HEADERS:
    case FRAME_PUSH_PROMISE: {
      if (streamId === 0) return PROTOCOL_ERROR;
      const fixed =
        ((flags & FLAG_PADDED) !== 0 ? 1 : 0) +
        (type === FRAME_HEADERS && (flags & FLAG_PRIORITY) !== 0 ? 5 : 0) +
        (type === FRAME_PUSH_PROMISE ? 4 : 0);
      return length < fixed ? FRAME_SIZE_ERROR : NO_ERROR;
    }
    case FRAME_PRIORITY:
      if (streamId === 0) return PROTOCOL_ERROR;
      return length === 5 ? NO_ERROR : FRAME_SIZE_ERROR;
    case FRAME_RST_STREAM:
      if (streamId === 0) return PROTOCOL_ERROR;
      return length === 4 ? NO_ERROR : FRAME_SIZE_ERROR;
    case FRAME_SETTINGS:
      if (streamId !== 0) return PROTOCOL_ERROR;
      if ((flags & FLAG_ACK) !== 0) return length === 0 ? NO_ERROR : FRAME_SIZE_ERROR;
      return length % 6 === 0 ? NO_ERROR : FRAME_SIZE_ERROR;
    case FRAME_PING:
      if (streamId !== 0) return PROTOCOL_ERROR;
      return length === 8 ? NO_ERROR : FRAME_SIZE_ERROR;
    case FRAME_GOAWAY:
      if (streamId !== 0) return PROTOCOL_ERROR;
      return length >= 8 ? NO_ERROR : FRAME_SIZE_ERROR;
    case FRAME_WINDOW_UPDATE:
      return length === 4 ? NO_ERROR : FRAME_SIZE_ERROR;
    case FRAME_CONTINUATION:
      return streamId === 0 ? PROTOCOL_ERROR : NO_ERROR;
    default:
      return NO_ERROR;
  }
}

function dependsOnItself(bytes: Uint8Array, at: number, streamId: number): boolean {
  return read32(bytes, at) % 2 ** 31 === streamId;
}

/** An unsigned 32-bit number. */
export function read32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) * 2 ** 24 +
    (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
  );
}
