/**
 * The server side of one captured HTTP/2 connection: its streams become exchanges, answered in any order.
 *
 * Like HTTP/1.1's it belongs to a chain by name, and each request asks for the chain as it is now. It ends in two
 * steps, as RFC 9113 §6.8 wishes: first it says that it will (GOAWAY with the highest stream id), a moment later it
 * takes no more streams, and closes when the last one is done; so no request is lost to a change or a stop.
 *
 * Not here: frames and windows (wire/http2), one request's answer (downstream-stream.ts).
 */

import { mark } from "../../../wire/http1/field-names.ts";
import { Http2Connection } from "../../../wire/http2/connection.ts";
import type { Http2Events } from "../../../wire/http2/events.ts";
import { CANCEL } from "../../../wire/http2/protocol.ts";
import type { Http2Stream } from "../../../wire/http2/stream.ts";
import type { TranslatedHead } from "../../../wire/http2/translated-head.ts";
import type { HttpChain } from "../../config/tables.ts";
import type { Environment } from "../../environment.ts";
import type { LiveConnection } from "../../listen/connections.ts";
import type { Peer } from "../../peer.ts";
import { Exchange } from "../../stack/exchange.ts";
import type { ChainLookup } from "../downstream.ts";
import { fieldValue, introducePeer, ownMark } from "../heads.ts";
import { Lingering } from "../lingering.ts";
import { parseTarget } from "../target.ts";
import type { Reader, Transport } from "../transport.ts";
import { DownstreamStream } from "./downstream-stream.ts";
import { readGrpc } from "./grpc.ts";
import { allocateOutput, Outlet } from "./outlet.ts";
import { readText, vocabulary } from "./vocabulary.ts";

type Stream = Http2Stream<DownstreamStream>;

/** Between saying that no more streams will be taken and taking none: a round trip of any network. */
const announceMs = 1_000;
/** A client that opens no window for this long is not waiting for its answer. Envoy's stream idle timeout. */
const stalledMs = 300_000;

/** Answers that a client leaves unread before no more of its requests are read: heads know no window. */
const maxUnreadBytes = 2 ** 20;

const nothing = Buffer.alloc(0);

type State =
  | "open"
  /** It has said that it will take no more streams. */
  | "announced"
  /** It takes no more streams. */
  | "ending"
  /** Its last word is out; the client may read it. */
  | "lingering"
  | "closed";

export class Http2Downstream implements Reader, LiveConnection, Http2Events<DownstreamStream> {
  readonly transport: Transport;
  readonly peer: Peer;
  readonly environment: Environment;
  readonly connection: Http2Connection<DownstreamStream>;
  readonly outlet: Outlet;
  readonly #chain: ChainLookup;
  readonly #onClosed: (connection: Http2Downstream) => void;
  #lastChain: HttpChain | undefined;
  #state: State = "open";
  /** When the present state began; while it is open, when its last stream ended. */
  #since: number;
  /** Which frame or header block is incomplete, and since when; 0: none. */
  #incomplete = 0;
  #incompleteSince = 0;
  /** Since its last word is out. */
  #lingering: Lingering | undefined;
  /** When the client ended its side. */
  #endedAt = Infinity;

  constructor(
    transport: Transport,
    peer: Peer,
    chain: ChainLookup,
    environment: Environment,
    onClosed: (connection: Http2Downstream) => void,
  ) {
    this.transport = transport;
    this.peer = peer;
    this.environment = environment;
    this.#chain = chain;
    this.#onClosed = onClosed;
    this.#since = environment.now();
    this.connection = new Http2Connection<DownstreamStream>("server", this, {
      vocabulary,
      readText,
      allocate: allocateOutput,
    });
    this.outlet = new Outlet(transport, this.connection.sender.out);
    this.outlet.wake();
  }

  // ---- Reader ----------------------------------------------------------------------------------

  onBytes(bytes: Buffer, length: number): void {
    const now = this.environment.now();
    this.connection.read(bytes, 0, length, now);
    const { incomplete } = this.connection;
    if (incomplete !== this.#incomplete) this.#incompleteSince = now;
    this.#incomplete = incomplete;
    this.outlet.wake();
    if (this.transport.queuedBytes > maxUnreadBytes) this.transport.pause();
  }

  onEnd(): void {
    // The client sends no more, so nothing it has begun to say will be complete; whole requests get answers that come soon
    // (parting.ts).
    this.#endedAt = this.environment.now();
    for (const stream of [...this.connection.streams]) {
      if (!stream.isRemoteDone) this.#abort(stream);
    }
    if (this.#state === "open" || this.#state === "announced") this.#enter("ending");
    this.#closeIfDone();
  }

  onDrain(): void {
    this.transport.resume();
    for (const stream of this.connection.streams) {
      if (stream.queuedBytes === 0) stream.owner?.onWritable();
    }
  }

  onClose(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const stream of [...this.connection.streams]) this.#abort(stream);
    this.#onClosed(this);
  }

  // ---- requests --------------------------------------------------------------------------------

  onHead(stream: Stream, head: TranslatedHead, isEnd: boolean): void {
    const { text } = head;
    const method = text.slice(head.lineStart, head.methodEnd);
    const target = parseTarget(text.slice(head.targetStart, head.targetEnd), method);
    const current = this.#chain();
    if (current === undefined) this.drain(); // the chain is gone: what comes now is the last under its rules
    const chain = current ?? this.#lastChain;
    const isOther = head.protocol !== undefined && head.protocol !== "websocket";
    const isCut = head.protocol !== undefined && isEnd;
    if (target === undefined || chain === undefined || isOther || isCut) {
      // RFC 9220 §3 for both versions of HTTP; a CONNECT is as unwelcome as in HTTP/1.1
      const status = isOther ? 501 : method === "CONNECT" ? 405 : 400;
      this.connection.sender.sendResponse(stream, status, "content-length: 0\r\n", true);
      return;
    }
    this.#lastChain = chain;
    const introduction = head.fieldAt(ownMark.peer);
    if (introduction >= 0) introducePeer(this.peer, fieldValue(head, text, introduction));

    const host = fieldValue(head, text, head.fieldAt(mark.host));
    const leg = new DownstreamStream(this, stream);
    const exchange = new Exchange(leg, head, text, target, host, this.environment.now());
    exchange.sensitive = head.sensitive;
    readGrpc(exchange);
    leg.exchange = exchange;
    stream.owner = leg;
    // What comes behind a request for another protocol is that protocol's: it waits until that is taken up.
    if (exchange.wantsUpgrade) leg.holdAhead();
    exchange.offerFirst(nothing, 0, 0, isEnd || exchange.wantsUpgrade);
    chain.handle(exchange);
    exchange.settle();
    // A filter waits (a delay, say) and will still look at fields.
    if (!exchange.isOver && exchange.outgoing === "") this.connection.keepHead();
  }

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, isEnd: boolean): void {
    stream.owner?.onData(bytes, start, end, isEnd);
  }

  onTrailers(stream: Stream, lines: string): void {
    stream.owner?.onTrailers(lines);
  }

  onHeadTooLarge(stream: Stream): void {
    this.connection.sender.sendResponse(stream, 431, "content-length: 0\r\n", true);
  }

  onReset(stream: Stream): void {
    stream.owner?.onGone();
  }

  onDrained(stream: Stream): void {
    if (!this.outlet.isBackedUp) stream.owner?.onWritable();
  }

  /** Whoever answers after the announcement has read it: what he had sent before is here. */
  onPong(): void {
    if (this.#state !== "announced") return;
    this.connection.takeNoMore();
    this.#enter("ending");
    this.#closeIfDone();
  }

  onGoaway(): void {
    // A client has no streams of ours to lose; it will close when it is done.
  }

  onFatal(code: number, reason: string): void {
    this.environment.log.debug("close HTTP/2 connection", {
      source: this.peer.sourceAddress,
      code,
      reason,
    });
    for (const stream of [...this.connection.streams]) stream.owner?.onGone();
    this.#linger();
  }

  /** A stream's exchange is over. */
  onStreamOver(): void {
    // Once it is announced, a client that goes on asking must not put the end off.
    if (this.#state === "open") this.#since = this.environment.now();
    this.outlet.wake();
    this.#closeIfDone();
  }

  #abort(stream: Stream): void {
    this.connection.reset(stream, CANCEL);
    stream.owner?.onGone();
  }

  // ---- endings ---------------------------------------------------------------------------------

  drain(): void {
    if (this.#state !== "open") return;
    this.#enter("announced");
    this.connection.announceEnd();
    this.outlet.wake();
    this.#closeIfDone();
  }

  /** GOAWAY says which streams are still answered, so nothing can be lost (RFC 9113 §6.8). */
  retire(): void {
    this.drain();
  }

  destroy(): void {
    this.transport.destroy();
  }

  sweep(now: number): void {
    const { limits } = this.environment;
    const waited = now - this.#since;
    const hasStreams = this.connection.openStreams > 0;
    if (this.#lingering?.isOver(this.transport.queuedBytes, now) === true) this.destroy();
    else if (this.#state === "announced" && waited > announceMs) {
      this.connection.takeNoMore();
      this.#enter("ending");
      this.#closeIfDone();
    } else if (this.#state === "ending") this.#closeIfDone();
    else if (this.#state === "open" && !hasStreams && waited > limits.downstreamIdleMs)
      this.drain();
    if (this.transport.isPaused) this.#incompleteSince = now; // it is we who do not read
    const isSlow = now - this.#incompleteSince > limits.headerTimeoutMs;
    if (this.#incomplete !== 0 && isSlow) this.destroy();
    const hasEnded = this.#endedAt < now && this.transport.queuedBytes === 0;
    for (const stream of this.connection.streams) {
      const { owner } = stream;
      const isParted = hasEnded && owner?.isParted(this.#endedAt, now) === true;
      if (isParted || owner?.isStalled(now, stalledMs) === true) this.#abort(stream);
    }
    this.outlet.wake();
  }

  get heldBytes(): number {
    let held = this.transport.queuedBytes + this.connection.heldBytes;
    for (const { owner } of this.connection.streams) held += owner?.heldBytes ?? 0;
    return held;
  }

  #enter(state: State): void {
    this.#state = state;
    this.#since = this.environment.now();
  }

  #closeIfDone(): void {
    if (this.connection.openStreams > 0) return;
    if (this.#state === "ending") this.#linger();
  }

  #linger(): void {
    if (this.#state === "lingering" || this.#state === "closed") return;
    this.#enter("lingering");
    this.#lingering = new Lingering(this.#since);
    this.outlet.flush();
    this.transport.end();
    this.transport.resume(); // for its FIN
  }
}
