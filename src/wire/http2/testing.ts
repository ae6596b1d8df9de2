/** For tests and tools: ends of connections that tell in words, frames by hand. */

import { HpackEncoder } from "../hpack/encoder.ts";
import { Output } from "../hpack/output.ts";
import { Http2Connection } from "./connection.ts";
import type { Http2Events } from "./events.ts";
import { putFrameHeader } from "./frame-writer.ts";
import type { RequestLine } from "./sender.ts";
import type { Http2Stream } from "./stream.ts";
import type { Role } from "./stream-table.ts";
import { coreVocabulary } from "./vocabulary.ts";

type Stream = Http2Stream<string>;

/** One end, and what happened to it, in words. */
export class End implements Http2Events<string> {
  readonly connection: Http2Connection<string>;
  readonly happened: string[] = [];
  readonly streams: Stream[] = [];
  receivedBytes = 0;
  now = 1;

  constructor(role: Role) {
    this.connection = new Http2Connection(role, this, { vocabulary: coreVocabulary });
  }
  onHead(stream: Stream, head: { readonly text: string }, isEnd: boolean): void {
    this.streams.push(stream);
    this.happened.push(`${stream.id} ${head.text.split("\r\n")[0]}${isEnd ? " end" : ""}`);
  }
  onData(stream: Stream, _bytes: Uint8Array, start: number, end: number, isEnd: boolean): void {
    this.receivedBytes += end - start;
    if (isEnd) this.happened.push(`${stream.id} data end`);
  }
  onTrailers(stream: Stream, lines: string): void {
    this.happened.push(`${stream.id} trailers ${lines.trim()}`);
  }
  onReset(stream: Stream, code: number): void {
    this.happened.push(`${stream.id} reset ${code}`);
  }
  onHeadTooLarge(stream: Stream): void {
    this.happened.push(`${stream.id} too large`);
  }
  onDrained(stream: Stream): void {
    this.happened.push(`${stream.id} drained`);
  }
  onPong(): void {}

  onGoaway(code: number): void {
    this.happened.push(`goaway ${code}`);
  }
  onFatal(code: number): void {
    this.happened.push(`fatal ${code}`);
  }
  read(bytes: Uint8Array): void {
    this.connection.read(bytes, 0, bytes.length, this.now);
  }
  get last(): string | undefined {
    return this.happened.at(-1);
  }
}

export const get: RequestLine = { method: "GET", scheme: "http", authority: "a", path: "/" };

/** Carries bytes to and fro until both ends are silent. */
export function settle(...ends: readonly [End, End]): void {
  const [a, b] = ends;
  for (;;) {
    const there = a.connection.sender.out.take();
    b.read(there);
    const back = b.connection.sender.out.take();
    a.read(back);
    if (there.length === 0 && back.length === 0) return;
  }
}

export function pair(): { readonly client: End; readonly server: End } {
  const ends = { client: new End("client"), server: new End("server") };
  settle(ends.client, ends.server);
  return ends;
}

/** Fields of a request for `/`. */
export const pseudo: readonly string[] = [
  ":method: GET",
  ":scheme: http",
  ":path: /",
  ":authority: a",
];

export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: readonly number[],
): Uint8Array {
  const out = new Output();
  putFrameHeader(out, payload.length, type, flags, streamId);
  for (const byte of payload) out.put(byte);
  return out.take();
}

/** A HEADERS frame whose block stands alone. */
export function headers(streamId: number, lines: readonly string[], flags: number): Uint8Array {
  const out = new Output();
  const encoder = new HpackEncoder();
  encoder.setLimit(0);
  for (const line of lines) encoder.encodeLine(out, line);
  return frame(1, flags, streamId, [...out.take()]);
}
