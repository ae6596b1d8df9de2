/**
 * The client side of one HTTP/2 connection to an endpoint, shared by many exchanges at a time.
 *
 * States: `connecting` (TLS handshake included), while exchanges may already wait for it; `ready`; `draining` takes no
 * more and closes with its last stream, because the peer said GOAWAY, the endpoint left, or its TLS settings are old;
 * `closed`.
 *
 * A stream that the peer refused, or that is above the last one of its GOAWAY, was not looked at there: its exchange
 * fails as `refused`, which may always be tried again.
 */

import { Http2Connection } from "../../../wire/http2/connection.ts";
import type { Http2Events } from "../../../wire/http2/events.ts";
import { CANCEL, REFUSED_STREAM } from "../../../wire/http2/protocol.ts";
import type { Http2Stream } from "../../../wire/http2/stream.ts";
import type { TranslatedHead } from "../../../wire/http2/translated-head.ts";
import type { Exchange } from "../../stack/exchange.ts";
import type { Failure } from "../../stack/outcome.ts";
import type { Host } from "../../upstream/host.ts";
import type { Reader, Transport } from "../transport.ts";
import { allocateOutput, Outlet } from "./outlet.ts";
import { Pings } from "./pings.ts";
import { UpstreamStream } from "./upstream-stream.ts";
import { asBuffer, readText, vocabulary } from "./vocabulary.ts";

type Stream = Http2Stream<UpstreamStream>;

/** Until the peer says how many streams it takes; RFC 9113 §6.5.2 asks servers for at least so many. */
const roomWhileConnecting = 100;

const nothing = Buffer.alloc(0);

export class Http2Upstream implements Reader, Http2Events<UpstreamStream> {
  readonly transport: Transport;
  readonly host: Host;
  readonly connection: Http2Connection<UpstreamStream>;
  readonly outlet: Outlet;
  /** The cluster's generation when it was opened. */
  readonly generation: number;
  state: "connecting" | "ready" | "draining" | "closed" = "connecting";
  /** It has carried an exchange before. */
  isReused = false;
  /** When its last stream ended. */
  idleSince = 0;
  #waiting: ((isReady: boolean) => void)[] = [];
  /** Requests for other protocols, while it is not known whether the endpoint takes them. */
  #undecided: { readonly exchange: Exchange; readonly epoch: number }[] = [];
  #isIntroduced = false;
  /** It is drained as soon as those that wait for it have been given to it. */
  #isLast = false;
  /** Exchanges that it was given. */
  #served = 0;
  #pings: Pings | undefined;

  constructor(host: Host, open: (reader: Reader) => Transport) {
    this.host = host;
    this.generation = host.cluster.generation;
    this.connection = new Http2Connection<UpstreamStream>("client", this, {
      vocabulary,
      readText,
      allocate: allocateOutput,
    });
    this.transport = open(this);
    this.outlet = new Outlet(this.transport, this.connection.sender.out);
  }

  /** Exchanges that it may take now. */
  get room(): number {
    const { maxConcurrentStreams = Infinity, maxRequestsPerConnection = Infinity } =
      this.host.cluster.config;
    switch (this.state) {
      case "connecting":
        if (this.#isLast) return 0;
        return (
          Math.min(roomWhileConnecting, maxConcurrentStreams, maxRequestsPerConnection) -
          this.#waiting.length
        );
      case "ready":
        return Math.min(
          this.connection.room,
          Math.max(0, maxConcurrentStreams - this.connection.openStreams),
        );
      default:
        return 0;
    }
  }

  /** Of what is asked for: mesh TLS is no matter of URLs, and servers outside may refuse http that comes in TLS. */
  get scheme(): "http" | "https" {
    return this.transport.isTls && !this.host.isOfMesh ? "https" : "http";
  }

  /** The line that tells the peer's sidecar who we are; only in the first request of a mutual TLS connection. */
  introduction(): string {
    if (this.#isIntroduced || !this.host.isOfMesh) return "";
    this.#isIntroduced = true;
    return this.host.introduction;
  }

  ready(): void {
    if (this.state !== "connecting") return;
    this.state = "ready";
    this.idleSince = this.host.cluster.environment.now();
    this.#askWhetherItIsThere();
    this.outlet.wake();
    this.#tellWaiting(true);
    if (this.#isLast) this.drain();
  }

  #askWhetherItIsThere(): void {
    const { http2KeepAlive } = this.host.cluster.config;
    if (http2KeepAlive === undefined) return;
    const ask = () => {
      this.connection.ping();
      this.outlet.wake();
    };
    this.#pings = new Pings(http2KeepAlive, ask, () => this.transport.destroy());
  }

  /** Calls `tell` once it is known whether the connection comes about. */
  whenReady(tell: (isReady: boolean) => void): void {
    if (this.state === "connecting") this.#waiting.push(tell);
    else tell(this.state === "ready");
  }

  #tellWaiting(isReady: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell(isReady);
  }

  start(exchange: Exchange): void {
    if (exchange.wantsUpgrade && !this.#maySwitch(exchange)) return;
    this.#served++;
    exchange.onConnection(new UpstreamStream(this));
    this.isReused = true;
    const { maxRequestsPerConnection } = this.host.cluster.config;
    if (maxRequestsPerConnection !== undefined && this.#served >= maxRequestsPerConnection) {
      this.drain();
    }
  }

  /**
   * Whether the endpoint takes other protocols on streams. False: it does not, and the request is on its way in
   * HTTP/1.1; or it has not said so yet, and the request waits for its first SETTINGS.
   */
  #maySwitch(exchange: Exchange): boolean {
    const takes = this.connection.takesExtendedConnect;
    if (takes === undefined) this.#undecided.push({ exchange, epoch: exchange.tries.epoch });
    else if (!takes) this.host.pooled.serve(exchange, false);
    return takes === true;
  }

  /** `isLost`: no SETTINGS will come. */
  #decide(isLost: boolean): void {
    const undecided = this.#undecided;
    this.#undecided = [];
    for (const { exchange, epoch } of undecided) {
      if (exchange.tries.epoch !== epoch) continue;
      if (isLost) exchange.onFailure("connect-failure");
      else this.start(exchange);
    }
  }

  // ---- Reader ----------------------------------------------------------------------------------

  onBytes(bytes: Buffer, length: number): void {
    this.#pings?.onBytes();
    this.connection.read(bytes, 0, length, this.host.cluster.environment.now());
    if (this.#undecided.length > 0 && this.connection.takesExtendedConnect !== undefined) {
      this.#decide(false);
    }
    this.host.shared.onRoom(this); // a stream that ended with these bytes is among the open ones until now
    this.outlet.wake();
  }

  onEnd(): void {
    this.#onLost();
  }

  onDrain(): void {
    for (const stream of this.connection.streams) {
      if (stream.queuedBytes === 0) stream.owner?.onWritable();
    }
  }

  onClose(): void {
    this.#onLost();
  }

  #onLost(): void {
    // Who is told may try again at once, and must not be given this connection.
    if (this.state === "ready") this.state = "draining";
    this.#failAll("reset");
    this.close();
  }

  // ---- answers ---------------------------------------------------------------------------------

  onHead(stream: Stream, head: TranslatedHead, isEnd: boolean): void {
    const leg = stream.owner;
    const exchange = leg?.exchange;
    if (leg === undefined || exchange === undefined) return;
    if (head.status < 200) {
      exchange.onInterim(head, head.text);
      return;
    }
    // Not the head's length: an answer that has no body may still be ended by an empty frame, and in HTTP/1.1 a chunk
    // for that would be taken for the beginning of the next answer.
    if (exchange.wantsUpgrade && head.status < 300) {
      leg.switchProtocols(head, isEnd);
      return;
    }
    leg.isOpenEnded = !isEnd && stream.expectedBytes < 0;
    if (!exchange.onResponse(head, head.text, nothing, 0, 0, isEnd)) leg.giveUp();
    else if (isEnd) leg.finish("");
  }

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, isEnd: boolean): void {
    const leg = stream.owner;
    if (leg?.end !== undefined) {
      leg.end.onData(bytes, start, end, isEnd);
      return;
    }
    if (start < end) leg?.exchange?.onResponseBody(asBuffer(bytes), start, end);
    if (isEnd) leg?.finish("");
  }

  onTrailers(stream: Stream, lines: string): void {
    const leg = stream.owner;
    if (leg?.end !== undefined) leg.end.onData(nothing, 0, 0, true);
    else leg?.finish(lines);
  }

  onHeadTooLarge(stream: Stream): void {
    stream.owner?.fail("protocol-error");
    this.connection.reset(stream, CANCEL);
    this.onStreamOver();
  }

  onPong(): void {
    this.#pings?.onPong();
  }

  onReset(stream: Stream, code: number): void {
    const leg = stream.owner;
    if (leg !== undefined) leg.isReused = false; // it was this request's turn: no race with a connection's end
    leg?.fail(stream.isBroken ? "protocol-error" : failureOf(code));
    this.onStreamOver();
  }

  onDrained(stream: Stream): void {
    if (!this.outlet.isBackedUp) stream.owner?.onWritable();
  }

  onGoaway(): void {
    this.drain();
  }

  onFatal(code: number, reason: string): void {
    this.host.cluster.environment.log.debug("close HTTP/2 connection", {
      endpoint: `${this.host.address}:${this.host.port}`,
      code,
      reason,
    });
    this.outlet.flush();
    this.#failAll("protocol-error");
    this.#leave();
    this.transport.close();
  }

  /** A stream has ended; so many of those that are open have, too. */
  onStreamOver(ended = 0): void {
    this.outlet.wake();
    this.host.shared.onRoom(this);
    if (this.connection.openStreams > ended || this.state === "closed") return;
    this.idleSince = this.host.cluster.environment.now();
    const isUseless = this.connection.openStreams === 0 && this.connection.room === 0; // its endpoint takes none
    if (isUseless || this.generation !== this.host.cluster.generation) this.state = "draining";
    if (this.state === "draining") this.close();
  }

  #failAll(failure: Failure): void {
    for (const stream of [...this.connection.streams]) {
      stream.isClosed = true; // nothing more is written to it
      stream.owner?.fail(failure);
    }
  }

  // ---- endings ---------------------------------------------------------------------------------

  /** Takes no more exchanges, and closes when the last is over. */
  drain(): void {
    if (this.state !== "connecting" && this.state !== "ready") return;
    if (this.state === "connecting" && this.#waiting.length > 0) {
      this.#isLast = true;
      return;
    }
    this.state = "draining";
    this.onStreamOver();
  }

  close(): void {
    if (this.state === "closed") return;
    const isUp = this.state !== "connecting";
    if (isUp) this.outlet.flush();
    this.#leave();
    if (isUp) this.transport.close();
    else this.transport.destroy();
  }

  #leave(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#pings?.stop();
    this.#decide(true);
    this.host.shared.onClosed(this);
    this.#tellWaiting(false);
  }
}

function failureOf(code: number): Failure {
  if (code === REFUSED_STREAM) return "refused";
  return code === CANCEL ? "cancelled" : "stream-reset";
}
