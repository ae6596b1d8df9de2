/** What a connection tells its owner. All of it happens within `read`, or within a call of the owner's. */

import type { Http2Stream } from "./stream.ts";
import type { TranslatedHead } from "./translated-head.ts";

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
