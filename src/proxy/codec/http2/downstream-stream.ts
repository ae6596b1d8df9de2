/**
 * One request on a downstream HTTP/2 connection, and the answer to it.
 *
 * Answers from HTTP/1.1 are translated: their lines put into HTTP/2's form, chunks taken off. What we answer ourselves
 * to a gRPC call is an answer of gRPC: status 200 and trailers that say what happened (grpc.ts).
 */

import { ByteQueue } from "../../../base/byte-queue.ts";
import { canonicalLines } from "../../../wire/http2/lines.ts";
import { CANCEL, INTERNAL_ERROR } from "../../../wire/http2/protocol.ts";
import type { Http2Stream } from "../../../wire/http2/stream.ts";
import type { Environment } from "../../environment.ts";
import type { Peer } from "../../peer.ts";
import type { Exchange } from "../../stack/exchange.ts";
import type { Head } from "../../stack/head.ts";
import type { DownstreamLeg, Switched } from "../../stack/legs.ts";
import { isBodyless } from "../../stack/outcome.ts";
import type { TunnelEnd } from "../../tcp/tunnel-end.ts";
import { bodilessResponseDrops, interimFields, keptFields, responseDrops } from "../heads.ts";
import { missingDate, ownLines, typeLine, withoutType } from "../own-lines.ts";
import { Parting } from "../parting.ts";
import { Dechunker } from "./dechunker.ts";
import type { Http2Downstream } from "./downstream.ts";
import { grpcReply } from "./grpc.ts";
import { StreamEnd } from "./stream-end.ts";
import { asBuffer } from "./vocabulary.ts";

const nothing = Buffer.alloc(0);
/** What an endpoint of HTTP/1.1 says of a WebSocket, and HTTP/2 does not. */
const handshakeFields = new Set(["sec-websocket-accept"]);

export class DownstreamStream implements DownstreamLeg {
  readonly protocol = "HTTP/2";
  readonly joinsBodies = false;
  exchange: Exchange | undefined = undefined;
  readonly #connection: Http2Downstream;
  readonly #stream: Http2Stream<DownstreamStream>;
  /** The answer comes in chunks. */
  #dechunker: Dechunker | undefined;
  /** What came before another protocol was taken up; undefined: none is asked for. */
  #ahead: ByteQueue | undefined;
  /** The stream carries another protocol, to that side. */
  #end: StreamEnd<DownstreamStream> | undefined;
  #joined: TunnelEnd | undefined;
  /** Since its client has ended its side. */
  #parting: Parting | undefined;
  #queuedBefore = 0;
  #queuedSince = 0;

  constructor(connection: Http2Downstream, stream: Http2Stream<DownstreamStream>) {
    this.#connection = connection;
    this.#stream = stream;
  }

  get peer(): Peer {
    return this.#connection.peer;
  }

  get environment(): Environment {
    return this.#connection.environment;
  }

  pause(): void {
    this.#connection.connection.hold(this.#stream);
  }

  resume(): void {
    if (!this.#stream.isHeld) return;
    this.#connection.connection.release(this.#stream);
    this.#connection.outlet.wake();
  }

  /** The connection is others', too. */
  holdOff(): void {}

  // ---- answers ---------------------------------------------------------------------------------

  writeLocal(exchange: Exchange, status: number, body: string, fields: string): void {
    const { sender } = this.#connection.connection;
    if (exchange.isGrpc) {
      const reply = grpcReply(status, body, exchange.localGrpcStatus);
      exchange.status = 200;
      exchange.grpcStatus = reply.status;
      const lines = reply.lines + withoutType(fields) + ownLines(this.environment);
      sender.sendResponse(this.#stream, 200, lines, true);
      exchange.responseHeadBytes += lines.length;
      exchange.responseBytes += lines.length;
    } else {
      const length = Buffer.byteLength(body);
      const type = typeLine(length, fields);
      const framing = isBodyless(status) ? "" : `content-length: ${length}\r\n`;
      const lines = `${framing}${type}${canonicalLines(fields)}${ownLines(this.environment)}`;
      const hasBody = length > 0 && exchange.method !== "HEAD";
      sender.sendResponse(this.#stream, status, lines, !hasBody);
      if (hasBody) sender.sendData(this.#stream, Buffer.from(body), 0, length, true);
      exchange.responseHeadBytes += lines.length;
      exchange.responseBytes += lines.length + (hasBody ? length : 0);
    }
    this.#connection.outlet.wake();
  }

  writeInterim(head: Head, text: string): void {
    const lines = canonicalLines(interimFields(head, text));
    const { connection, outlet } = this.#connection;
    connection.sender.sendResponse(this.#stream, head.status, lines, false);
    outlet.wake();
    // As in HTTP/1.1's: an endless row of them must not pile up before a client that does not read.
    if (outlet.isBackedUp) this.exchange?.upstream?.pause();
  }

  writeResponse(
    exchange: Exchange,
    head: Head,
    text: string,
    bytes: Buffer,
    start: number,
    end: number,
    isDone: boolean,
  ): void {
    const edit = exchange.responseEdit;
    const drops = head.status === 204 ? bodilessResponseDrops : responseDrops;
    let lines = keptFields(head, text, drops, edit?.dropped);
    if (exchange.upstream?.isHttp2 !== true) lines = canonicalLines(lines);
    if (edit !== undefined) lines += edit.lines;
    lines += missingDate(head, this.environment);
    // Whoever stands between here and its endpoint has taken them off.
    const isBare = exchange.upstream?.isOpenEnded === true;
    if (head.isChunked && !isBare) this.#dechunker = new Dechunker();
    const { sender } = this.#connection.connection;
    const isEmpty = isDone && start === end;
    exchange.responseHeadBytes += lines.length;
    exchange.responseBytes += lines.length;
    sender.sendResponse(this.#stream, head.status, lines, isEmpty);
    if (isDone && this.#dechunker === undefined && !isEmpty) {
      exchange.responseBytes += end - start;
      sender.sendData(this.#stream, bytes, start, end, true);
    } else if (start < end) this.writeResponseBody(exchange, bytes, start, end);
    this.#connection.outlet.wake();
  }

  writeResponseBody(exchange: Exchange, bytes: Buffer, start: number, end: number): void {
    exchange.responseBytes += end - start;
    const { sender } = this.#connection.connection;
    const stream = this.#stream;
    if (this.#dechunker === undefined) sender.sendData(stream, bytes, start, end, false);
    else {
      this.#dechunker.read(bytes, start, end, (run, from, to) =>
        sender.sendData(stream, run, from, to, false),
      );
    }
    const { outlet } = this.#connection;
    outlet.wake();
    if (stream.queuedBytes > 0 || outlet.isBackedUp) exchange.upstream?.pause();
  }

  writeResponseEnd(exchange: Exchange, trailers: string): void {
    const { sender } = this.#connection.connection;
    const lines = trailers !== "" ? trailers : (this.#dechunker?.trailers ?? "");
    exchange.responseHeadBytes += lines.length;
    exchange.responseBytes += lines.length;
    if (lines !== "") sender.sendTrailers(this.#stream, lines);
    else sender.sendData(this.#stream, nothing, 0, 0, true);
    this.#connection.outlet.wake();
  }

  breakOff(isCancelled: boolean): void {
    this.#connection.connection.reset(this.#stream, isCancelled ? CANCEL : INTERNAL_ERROR);
    this.#connection.outlet.wake();
  }

  onExchangeOver(): void {
    this.exchange = undefined;
    this.#connection.onStreamOver();
  }

  /** The stream becomes a tunnel's; RFC 8441 §5: 200 says so. */
  switchProtocols(exchange: Exchange, head: Head, text: string, upstream: TunnelEnd): Switched {
    const kept = keptFields(head, text, bodilessResponseDrops, handshakeFields);
    const { connection, outlet } = this.#connection;
    connection.sender.sendResponse(this.#stream, 200, canonicalLines(kept), false);
    exchange.responseHeadBytes += kept.length;
    exchange.responseBytes += kept.length;
    outlet.wake();
    this.#end = new StreamEnd(connection, this.#stream, outlet);
    this.#joined = upstream;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return {
      transport: this.#end,
      ahead: ahead === undefined || ahead.length === 0 ? undefined : asBuffer(ahead.bytes()),
      hasEnded: this.#stream.isRemoteDone,
      onTunnelClosed() {},
    };
  }

  // ---- what the client sends -------------------------------------------------------------------

  /** From now on what it sends is kept, as much as its window lets through, for the protocol that it asks for. */
  holdAhead(): void {
    this.#ahead = new ByteQueue();
    this.pause();
  }

  onData(bytes: Uint8Array, start: number, end: number, isEnd: boolean): void {
    if (this.#end !== undefined) this.#end.onData(bytes, start, end, isEnd);
    else if (this.#ahead !== undefined) this.#ahead.push(bytes, start, end);
    else this.exchange?.onRequestBody(asBuffer(bytes), start, end, isEnd);
  }

  onTrailers(lines: string): void {
    if (this.#end !== undefined) this.#end.onData(nothing, 0, 0, true);
    else if (this.#ahead === undefined) this.exchange?.onRequestTrailers(lines);
  }

  get heldBytes(): number {
    return (
      (this.#ahead?.length ?? 0) +
      (this.exchange?.heldBytes ?? 0) +
      (this.#joined?.queuedBytes ?? 0)
    );
  }

  // ---- what happens to the stream --------------------------------------------------------------

  /** What was queued is written, and the socket takes more. */
  onWritable(): void {
    if (this.#end !== undefined) this.#end.onWritable();
    else this.exchange?.upstream?.resume();
  }

  /** The stream is gone. */
  onGone(): void {
    if (this.#end !== undefined) {
      this.#end.onGone();
      return;
    }
    const { exchange } = this;
    this.exchange = undefined;
    exchange?.onDownstreamClosed();
  }

  /** Whether its client, which ended its side at `endedAt`, is not to be answered any more. Asked about once a second. */
  isParted(endedAt: number, now: number): boolean {
    if (this.#stream.queuedBytes > 0) return true; // who says nothing more opens no window
    if (this.exchange === undefined || this.#end !== undefined) return false;
    this.#parting ??= new Parting(endedAt);
    return this.#parting.isOver(this.exchange, now);
  }

  /** Whether its data has waited this long for the client to open its window. Asked about once a second. */
  isStalled(now: number, ms: number): boolean {
    const { queuedBytes } = this.#stream;
    if (queuedBytes === 0 || queuedBytes !== this.#queuedBefore) this.#queuedSince = now;
    this.#queuedBefore = queuedBytes;
    return queuedBytes > 0 && now - this.#queuedSince > ms;
  }
}
