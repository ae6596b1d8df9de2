/**
 * Heads on their way in: header blocks put together and decoded, and what each of them is: a request, an answer, an
 * interim answer, trailers, or something that may not come there.
 *
 * Blocks that nobody wants are decoded to the end even so, because the field tables of both ends must stay alike.
 *
 * Not here: what a head may say (translated-head.ts, field-rules.ts).
 */

import { HpackDecoder, type ReadText } from "../hpack/decoder.ts";
import { costOfFrame, costOfStream } from "./calm.ts";
import type { ConnectionCore } from "./connection-core.ts";
import { HeaderBlock } from "./header-block.ts";
import {
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from "./protocol.ts";
import type { Http2Stream } from "./stream.ts";
import { maxConcurrentStreams } from "./stream-table.ts";
import { TranslatedHead, type Vocabulary } from "./translated-head.ts";

export class IncomingHeads<T> {
  readonly #core: ConnectionCore<T>;
  readonly #decoder: HpackDecoder;
  readonly #vocabulary: Vocabulary;
  readonly #block = new HeaderBlock();
  #head: TranslatedHead;

  constructor(core: ConnectionCore<T>, vocabulary: Vocabulary, readText: ReadText | undefined) {
    this.#core = core;
    this.#decoder = new HpackDecoder(undefined, readText);
    this.#vocabulary = vocabulary;
    this.#head = new TranslatedHead(vocabulary);
  }

  /** The stream whose header block is incomplete; 0: none. */
  get openBlock(): number {
    return this.#block.streamId;
  }

  get heldBytes(): number {
    return this.#block.streamId === 0 ? 0 : this.#block.bytes.length;
  }

  /** A HEADERS frame. */
  begin(streamId: number, flags: number, bytes: Uint8Array, start: number, end: number): void {
    this.#block.begin(streamId, (flags & FLAG_END_STREAM) !== 0);
    this.goOn(flags, bytes, start, end);
  }

  /** A CONTINUATION frame, or the fragment in HEADERS. */
  goOn(flags: number, bytes: Uint8Array, start: number, end: number): void {
    const core = this.#core;
    const block = this.#block;
    const isLast = (flags & FLAG_END_HEADERS) !== 0;
    if (!block.add(bytes, start, end, isLast)) {
      core.fatal(ENHANCE_YOUR_CALM, "header block too long");
      return;
    }
    if (!isLast) return;
    const { streamId } = block;
    block.streamId = 0;
    this.#onBlock(streamId, block.isEnd, block.bytes, block.start, block.end);
    block.release();
  }

  #onBlock(streamId: number, isEnd: boolean, bytes: Uint8Array, start: number, end: number): void {
    const core = this.#core;
    const { streams } = core;
    const known = streams.get(streamId);
    const isIdle = known === undefined && streams.isIdle(streamId);
    const isNew = isIdle && !streams.isOurs(streamId);
    if (known === undefined && !isNew && !streams.wasReset(streamId)) {
      core.fatal(isIdle ? PROTOCOL_ERROR : STREAM_CLOSED, `HEADERS on stream ${streamId}`);
      return;
    }
    if (isNew && core.role === "client") {
      core.fatal(PROTOCOL_ERROR, `the server opens stream ${streamId}`);
      return;
    }
    const head = this.#head;
    const isTrailers = known?.hasHead === true;
    head.begin(isTrailers ? "trailers" : core.role === "server" ? "request" : "response");
    if (this.#decoder.decode(bytes, start, end, head) !== undefined) {
      core.fatal(COMPRESSION_ERROR, `header block of stream ${streamId}`);
      return;
    }
    const isWhole = head.finish();
    if (isNew) this.#onRequest(streamId, head, isWhole, isEnd);
    else if (known !== undefined) this.#onFurtherHead(known, head, isWhole, isEnd);
    else core.spend(costOfFrame, "heads on streams that were reset");
  }

  #onRequest(streamId: number, head: TranslatedHead, isWhole: boolean, isEnd: boolean): void {
    const core = this.#core;
    core.streams.lastPeerId = streamId;
    if (streamId > core.streams.lastTakenId) {
      core.spend(costOfFrame, "streams after our GOAWAY");
      return;
    }
    if (core.streams.size >= maxConcurrentStreams) {
      if (core.spend(costOfStream, "streams beyond the limit")) {
        core.writeReset(streamId, REFUSED_STREAM);
      }
      return;
    }
    const stream = core.open(streamId);
    stream.hasHead = true;
    stream.isRemoteDone = isEnd;
    stream.expectedBytes = head.contentLength;
    if (head.isMalformed || (isEnd && head.contentLength > 0)) core.malformed(stream);
    else if (isWhole) core.events.onHead(stream, head, isEnd);
    else core.events.onHeadTooLarge(stream);
  }

  /** An answer's head, or trailers of either side. */
  #onFurtherHead(
    stream: Http2Stream<T>,
    head: TranslatedHead,
    isWhole: boolean,
    isEnd: boolean,
  ): void {
    const core = this.#core;
    if (stream.isRemoteDone) {
      core.streamError(stream, STREAM_CLOSED);
      return;
    }
    if (stream.hasHead) {
      if (!isWhole || !isEnd || !stream.isComplete) core.malformed(stream);
      else {
        stream.isRemoteDone = true;
        core.events.onTrailers(stream, head.text);
        core.closeIfDone(stream);
      }
      return;
    }
    if (!isWhole && !head.isMalformed) {
      core.events.onHeadTooLarge(stream);
      return;
    }
    const isInterim = head.status < 200;
    if (head.isMalformed || (isInterim && (isEnd || head.status === 101))) {
      core.malformed(stream);
      return;
    }
    if (!isInterim) {
      stream.hasHead = true;
      stream.isRemoteDone = isEnd;
      // Such a length is that of another answer (RFC 9113 §8.1.1): an empty frame may still end this one.
      const isBodyless = stream.asksForHead || head.status === 204 || head.status === 304;
      stream.expectedBytes = isBodyless ? 0 : head.contentLength;
      if (isEnd && !stream.isComplete) {
        core.malformed(stream); // its length in HTTP/1.1 would have the next answer taken for its body
        return;
      }
    } else if (!core.spend(costOfFrame, "interim answers")) return;
    core.events.onHead(stream, head, isEnd);
    if (isEnd) core.closeIfDone(stream);
  }

  /** The owner needs the head that it was just given for longer. */
  keepHead(): void {
    this.#head = new TranslatedHead(this.#vocabulary);
  }
}
