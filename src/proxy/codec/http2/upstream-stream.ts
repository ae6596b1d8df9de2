/** One exchange on an upstream HTTP/2 connection. A request that came in HTTP/1.1 is translated on the way. */

import { canonicalLines } from "../../../wire/http2/lines.ts";
import { CANCEL, NO_ERROR } from "../../../wire/http2/protocol.ts";
import type { Http2Stream } from "../../../wire/http2/stream.ts";
import type { TranslatedHead } from "../../../wire/http2/translated-head.ts";
import type { Exchange } from "../../stack/exchange.ts";
import type { UpstreamLeg } from "../../stack/legs.ts";
import type { Failure } from "../../stack/outcome.ts";
import { Dechunker } from "./dechunker.ts";
import { type OutgoingHead, splitOutgoing } from "./outgoing.ts";
import { StreamEnd } from "./stream-end.ts";
import type { Http2Upstream } from "./upstream.ts";

const nothing = Buffer.alloc(0);

export class UpstreamStream implements UpstreamLeg {
  readonly isHttp2 = true;
  isReused: boolean;
  isOpenEnded = false;
  exchange: Exchange | undefined = undefined;
  /** The stream carries another protocol. */
  end: StreamEnd<UpstreamStream> | undefined = undefined;
  readonly #connection: Http2Upstream;
  #stream: Http2Stream<UpstreamStream> | undefined;
  #dechunker: Dechunker | undefined;

  constructor(connection: Http2Upstream) {
    this.#connection = connection;
    this.isReused = connection.isReused;
  }

  get isBackedUp(): boolean {
    return (this.#stream?.queuedBytes ?? 0) > 0 || this.#connection.outlet.isBackedUp;
  }

  get queuedBytes(): number {
    return this.#stream?.queuedBytes ?? 0;
  }

  // ---- the request -----------------------------------------------------------------------------

  sendRequest(
    exchange: Exchange,
    body: Buffer | undefined,
    start: number,
    end: number,
    isDone: boolean,
  ): void {
    this.exchange = exchange;
    if (exchange.isChunked) this.#dechunker = new Dechunker();
    const isCanonical = exchange.downstream.protocol === "HTTP/2";
    const { outgoing, method } = exchange;
    const { scheme } = this.#connection;
    if (exchange.wantsUpgrade) {
      this.#askForWebSocket(exchange, splitOutgoing(outgoing, method, scheme, isCanonical));
      return;
    }
    const { line, lines } = splitOutgoing(outgoing, method, scheme, isCanonical);
    const introduction = this.#connection.introduction();
    const isBare = isDone && start === end && exchange.requestTrailers === "";
    this.#stream = this.#connection.connection.request(
      this,
      line,
      introduction === "" ? lines : lines + canonicalLines(introduction),
      isBare,
      exchange.sensitive,
    );
    if (!isBare && body !== undefined) {
      this.sendBody(body, start, end, isDone, exchange.requestTrailers);
    } else if (!isBare && isDone) this.#end(exchange.requestTrailers);
    this.#connection.outlet.wake();
  }

  /** An extended CONNECT (RFC 8441 §5). */
  #askForWebSocket(exchange: Exchange, { line, lines }: OutgoingHead): void {
    const kept = lines.replace(/^(?:connection|upgrade|sec-websocket-key):[^\r\n]*\r\n/gm, "");
    const introduction = this.#connection.introduction();
    this.#stream = this.#connection.connection.request(
      this,
      { ...line, method: "CONNECT", protocol: "websocket" },
      introduction === "" ? kept : kept + canonicalLines(introduction),
      false,
      exchange.sensitive,
    );
    this.#connection.outlet.wake();
  }

  /** The other protocol is taken up: the stream is a tunnel's. */
  switchProtocols(head: TranslatedHead, isEnd: boolean): void {
    const { exchange } = this;
    const stream = this.#stream;
    if (exchange === undefined || stream === undefined) return;
    this.exchange = undefined;
    const { connection, outlet } = this.#connection;
    const end = new StreamEnd(connection, stream, outlet);
    this.end = end;
    const upgraded = { transport: end, onTunnelClosed: () => this.#connection.onStreamOver() };
    exchange.onUpgrade(upgraded, head, head.text, nothing);
    if (isEnd) end.onData(nothing, 0, 0, true);
  }

  sendBody(bytes: Buffer, start: number, end: number, isDone: boolean, trailers: string): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const { sender } = this.#connection.connection;
    if (this.#dechunker !== undefined) {
      this.#dechunker.read(bytes, start, end, (run, from, to) =>
        sender.sendData(stream, run, from, to, false),
      );
      if (isDone) this.#end(this.#dechunker.trailers);
    } else if (isDone && trailers !== "") {
      sender.sendData(stream, bytes, start, end, false);
      this.#end(trailers);
    } else sender.sendData(stream, bytes, start, end, isDone);
    this.#connection.outlet.wake();
  }

  #end(trailers: string): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const { sender } = this.#connection.connection;
    if (trailers !== "") sender.sendTrailers(stream, trailers);
    else sender.sendData(stream, new Uint8Array(0), 0, 0, true);
  }

  /** What was queued is written, and the socket takes more. */
  onWritable(): void {
    if (this.end !== undefined) this.end.onWritable();
    else this.exchange?.onUpstreamDrain();
  }

  // ---- the answer ------------------------------------------------------------------------------

  pause(): void {
    if (this.#stream !== undefined) this.#connection.connection.hold(this.#stream);
  }

  resume(): void {
    if (this.#stream?.isHeld !== true) return;
    this.#connection.connection.release(this.#stream);
    this.#connection.outlet.wake();
  }

  /** The answer is complete. */
  finish(trailers: string): void {
    const { exchange } = this;
    this.exchange = undefined;
    // An answer that comes before the request is complete: the rest of the request is not wanted.
    this.#reset(NO_ERROR);
    exchange?.onResponseDone(trailers, exchange.downstream.environment.now());
    this.#tellOver();
  }

  /** The exchange goes on elsewhere. */
  giveUp(): void {
    this.exchange = undefined;
    this.#reset(CANCEL);
    this.#tellOver();
  }

  fail(failure: Failure): void {
    this.end?.onGone();
    const { exchange } = this;
    this.exchange = undefined;
    exchange?.onFailure(failure);
  }

  abandon(): void {
    this.giveUp();
  }

  #reset(code: number): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const isSent = stream.isLocalDone && stream.queuedBytes === 0;
    if (!isSent || !stream.isRemoteDone) this.#connection.connection.reset(stream, code);
  }

  #tellOver(): void {
    // The frame that ends a stream is still in hand here, and the stream among the open ones until it has been dealt
    // with.
    this.#connection.onStreamOver(this.#stream?.isClosed === false ? 1 : 0);
  }
}
