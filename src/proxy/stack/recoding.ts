/**
 * The body of an answer on its way through a compressor.
 *
 * It stands between the exchange and its upstream leg: bytes come in as they arrive, chunks taken off; what comes out
 * goes to the client without a length, and is never held back for more to come: an answer that is said bit by bit is
 * heard bit by bit. Back-pressure goes through it both ways: a client that takes nothing stops the compressor,
 * and one that is full stops the endpoint.
 *
 *   buffer                limit                               who pauses             who resumes
 *   compressor's input    16 KiB (Node's mark) and one read   the endpoint's leg     'drain' of the compressor
 *   compressor's output   16 KiB and one chunk                the compressor         the client's leg
 *
 * Not here: which answers (filter/compress.ts).
 */

import type { BrotliCompress, Gzip } from "node:zlib";
import { Dechunker } from "../codec/http2/dechunker.ts";
import { keptCopy } from "../codec/kept-bytes.ts";
import type { Exchange } from "./exchange.ts";
import type { UpstreamLeg } from "./legs.ts";

type Compressor = Gzip | BrotliCompress;

export class Recoding implements UpstreamLeg {
  readonly isReused = false;
  readonly isOpenEnded = true;
  readonly isHttp2: boolean;
  readonly isBackedUp = false;
  readonly #exchange: Exchange;
  readonly #compressor: Compressor;
  readonly #flushKind: number;
  readonly #dechunker: Dechunker | undefined;
  /** Undefined once the endpoint has said everything: then the connection is somebody else's. */
  #leg: UpstreamLeg | undefined;
  #trailers = "";

  /** `isChunked`: the endpoint sends the body in the chunks of HTTP/1.1. */
  constructor(
    exchange: Exchange,
    { compressor, flushKind }: { readonly compressor: Compressor; readonly flushKind: number },
    isChunked: boolean,
  ) {
    this.#exchange = exchange;
    this.#compressor = compressor;
    this.#flushKind = flushKind;
    this.#leg = exchange.upstream;
    this.isHttp2 = exchange.upstream?.isHttp2 === true;
    this.#dechunker = isChunked ? new Dechunker() : undefined;
    exchange.atEnd(() => compressor.destroy());
    compressor.on("data", (bytes: Buffer) => {
      if (!exchange.isOver) exchange.downstream.writeResponseBody(exchange, bytes, 0, bytes.length);
    });
    compressor.on("drain", () => this.#leg?.resume());
    compressor.on("end", () => exchange.endRecoded(this.#trailers));
    compressor.on("error", () => exchange.giveUpTry("reset"));
  }

  /** Bytes of the body, in place only during the call. */
  write(bytes: Buffer, start: number, end: number): void {
    if (this.#dechunker === undefined) this.#compress(bytes, start, end);
    else this.#dechunker.read(bytes, start, end, (run, from, to) => this.#compress(run, from, to));
  }

  #compress(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    const copy = keptCopy(bytes, start, end);
    if (!this.#compressor.write(copy, this.#onCompressed)) this.#leg?.pause();
  }

  /** What was written is compressed. Where nothing follows yet, the client gets what there is. */
  readonly #onCompressed = (): void => {
    const compressor = this.#compressor;
    if (compressor.writableLength > 0 || compressor.writableEnded || compressor.destroyed) return;
    compressor.flush(this.#flushKind);
  };

  /** The endpoint's answer is complete; the client's is when the compressor has given everything. */
  finish(trailers: string): void {
    this.#leg = undefined;
    this.#trailers = trailers === "" ? (this.#dechunker?.trailers ?? "") : trailers;
    this.#compressor.end();
  }

  // ---- UpstreamLeg, for the client's side --------------------------------------------------------

  get queuedBytes(): number {
    const waiting = this.#compressor.writableLength + this.#compressor.readableLength;
    return waiting + (this.#leg?.queuedBytes ?? 0);
  }

  pause(): void {
    this.#compressor.pause();
  }

  resume(): void {
    this.#compressor.resume();
  }

  abandon(): void {
    this.#leg?.abandon();
    this.#leg = undefined;
  }

  sendRequest(): void {}

  sendBody(bytes: Buffer, start: number, end: number, isDone: boolean, trailers: string): void {
    this.#leg?.sendBody(bytes, start, end, isDone, trailers);
    if (this.#leg?.isBackedUp === true) this.#exchange.downstream.pause();
  }
}
