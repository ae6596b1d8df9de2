/** Writes frames into an output. Nothing is ever padded, and no priorities are sent. */

import type { Output } from "../hpack/output.ts";
import {
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
  frameHeaderBytes,
} from "./protocol.ts";

/** The nine bytes before every payload. Makes room for the payload, too. */
export function putFrameHeader(
  out: Output,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  out.reserve(frameHeaderBytes + length);
  const { bytes, length: at } = out;
  bytes[at] = length >>> 16;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = length;
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  bytes[at + 5] = streamId >>> 24;
  bytes[at + 6] = streamId >>> 16;
  bytes[at + 7] = streamId >>> 8;
  bytes[at + 8] = streamId;
  out.length = at + frameHeaderBytes;
}

export function putData(
  out: Output,
  streamId: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  isEnd: boolean,
): void {
  putFrameHeader(out, end - start, FRAME_DATA, isEnd ? FLAG_END_STREAM : 0, streamId);
  out.append(bytes, start, end);
}

/** Room for the header of a HEADERS frame, whose block the caller writes next; answers where it begins. */
export function beginHeaders(out: Output): number {
  out.reserve(frameHeaderBytes);
  out.length += frameHeaderBytes;
  return out.length;
}

/**
 * Completes what `beginHeaders` began: a HEADERS frame, with CONTINUATION frames where the block is too long for one.
 */
export function endHeaders(
  out: Output,
  blockStart: number,
  streamId: number,
  isEnd: boolean,
  maxFrameBytes: number,
): void {
  const blockEnd = out.length;
  const length = blockEnd - blockStart;
  const flags = isEnd ? FLAG_END_STREAM : 0;
  out.length = blockStart - frameHeaderBytes;
  if (length <= maxFrameBytes) {
    putFrameHeader(out, length, FRAME_HEADERS, flags | FLAG_END_HEADERS, streamId);
    out.length = blockEnd;
    return;
  }
  const block = new Uint8Array(length);
  block.set(out.bytes.subarray(blockStart, blockEnd));
  for (let at = 0; at < length; at += maxFrameBytes) {
    const end = Math.min(length, at + maxFrameBytes);
    const type = at === 0 ? FRAME_HEADERS : FRAME_CONTINUATION;
    const last = end === length ? FLAG_END_HEADERS : 0;
    putFrameHeader(out, end - at, type, (at === 0 ? flags : 0) | last, streamId);
    out.append(block, at, end);
  }
}

export function putSettings(out: Output, settings: readonly (readonly [number, number])[]): void {
  putFrameHeader(out, settings.length * 6, FRAME_SETTINGS, 0, 0);
  for (const [name, value] of settings) {
    out.put(name >>> 8);
    out.put(name);
    out.put32(value);
  }
}

export function putSettingsAck(out: Output): void {
  putFrameHeader(out, 0, FRAME_SETTINGS, FLAG_ACK, 0);
}

/** `opaque`: eight bytes at `at`. */
export function putPing(out: Output, isAck: boolean, opaque: Uint8Array, at: number): void {
  putFrameHeader(out, 8, FRAME_PING, isAck ? FLAG_ACK : 0, 0);
  out.append(opaque, at, at + 8);
}

export function putReset(out: Output, streamId: number, code: number): void {
  putFrameHeader(out, 4, FRAME_RST_STREAM, 0, streamId);
  out.put32(code);
}

export function putWindowUpdate(out: Output, streamId: number, increment: number): void {
  putFrameHeader(out, 4, FRAME_WINDOW_UPDATE, 0, streamId);
  out.put32(increment);
}

export function putGoaway(out: Output, lastStreamId: number, code: number, debug: string): void {
  putFrameHeader(out, 8 + debug.length, FRAME_GOAWAY, 0, 0);
  out.put32(lastStreamId);
  out.put32(code);
  out.putText(debug);
}
