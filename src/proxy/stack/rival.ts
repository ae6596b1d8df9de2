/**
 * A second try of a request while the first goes on: an exchange of its own, whose client is the request. The first good
 * answer wins, and the other try is given up.
 *
 * An answer of the rival's above 499, or a call's of gRPC that failed so in its one head, does not win: it is thrown away,
 * as what the first try brings may be better. A head that more follows is the answer, also where a call's trailers say then
 * that it failed: gRPC's own hedging commits by the head, too, which an application may act on (gRFC A6, "When Retries are
 * Valid"), and a head that is kept back would keep back a stream. The first try's is the answer whatever its status, unless
 * it is retried, for it could not be kept until the rival's. Where the first try fails while the rival is under way, the
 * rival has the request for itself; only when both have failed the request has.
 *
 * A try that is given up takes its connection along (HTTP/1.1) or has its stream reset. The rival is in its cluster's
 * budget of retries and among its active requests until it is over; as a request only the original is counted.
 *
 * Not here: when there is a rival (filter/hedge.ts).
 */

import type { Environment } from "../environment.ts";
import type { Holder } from "../overload.ts";
import type { Peer } from "../peer.ts";
import type { Exchange } from "./exchange.ts";
import type { Head } from "./head.ts";
import type { DownstreamLeg, UpstreamLeg } from "./legs.ts";
import type { Failure } from "./outcome.ts";

export class Rival implements DownstreamLeg, UpstreamLeg, Holder {
  readonly exchange: Exchange;
  readonly peer: Peer;
  readonly environment: Environment;
  readonly protocol: DownstreamLeg["protocol"];
  readonly joinsBodies: boolean;
  readonly isReused = false;
  readonly isBackedUp = false;
  readonly queuedBytes = 0;
  readonly #original: Exchange;
  readonly #onWon: () => void;
  #hasWon = false;
  /** How the first try failed, while this one went on. */
  #failure: Failure | undefined;

  /** Copies `original`, whose bytes are in place. `onWon` is called when its answer is the one. */
  constructor(original: Exchange, onWon: () => void) {
    const { downstream } = original;
    this.#original = original;
    this.#onWon = onWon;
    this.peer = downstream.peer;
    this.environment = downstream.environment;
    this.protocol = downstream.protocol;
    this.joinsBodies = downstream.joinsBodies;
    this.exchange = original.copyFor(this);
    this.exchange.settle();
    this.#noteHeld();
  }

  /** The body that has come since; false: it is not whole, or too long to be sent twice. */
  takeBody(): boolean {
    const original = this.#original;
    if (!original.isRequestDone || !original.canReplay) return false;
    original.copyBodyTo(this.exchange);
    this.#noteHeld();
    return true;
  }

  #noteHeld(): void {
    if (this.heldBytes === 0) return;
    const { others } = this.environment.overload;
    others.add(this);
    this.#original.atEnd(() => others.delete(this));
  }

  /** Its copy of the body, and what of that is on its way. */
  get heldBytes(): number {
    return this.exchange.heldBytes;
  }

  /** Sends the copy with this head, to another host where there is one. False: there was no place for it. */
  start(outgoing: string): boolean {
    const { exchange } = this;
    const { cluster, host, attempt, hashKey, subset } = this.#original;
    if (cluster === undefined || host === undefined || attempt === undefined) return false;
    exchange.cluster = cluster;
    exchange.outgoing = outgoing;
    exchange.hashKey = hashKey;
    exchange.subset = subset;
    exchange.tries.hosts = [host];
    cluster.load.activeRetries++;
    exchange.tries.isRetry = true; // it has its place in the budget of retries until it is over
    this.#original.rival = this;
    attempt(exchange);
    return exchange.attempts > 0;
  }

  /** The first try has failed. True: the request is not over, for this one goes on. */
  takesOver(failure: Failure): boolean {
    // Where this one has just lost, in the same read, `#lose` must not conclude once more.
    if (this.exchange.isOver) return false;
    this.#failure = failure;
    return true;
  }

  /** The request is answered, or nobody waits for it any more. */
  giveUp(): void {
    this.exchange.onDownstreamClosed();
  }

  // ---- DownstreamLeg: the copy's client is the original ------------------------------------------

  writeResponse(
    copy: Exchange,
    head: Head,
    text: string,
    bytes: Buffer,
    start: number,
    end: number,
    isDone: boolean,
  ): void {
    if (copy.outcome(head.status) >= 500) {
      queueMicrotask(() => this.#lose()); // its connection is in the middle of telling
      return;
    }
    this.#hasWon = true;
    this.#onWon();
    this.#original.takeAnswerOf(this, copy.host, { head, text, bytes, start, end, isDone });
  }

  writeResponseBody(_copy: Exchange, bytes: Buffer, start: number, end: number): void {
    if (this.#hasWon) this.#original.onResponseBody(bytes, start, end);
  }

  writeResponseEnd(copy: Exchange, trailers: string): void {
    if (this.#hasWon) this.#original.onResponseDone(trailers, copy.endedAt);
  }

  breakOff(): void {
    // Its host has been told of the failure.
    const { flag, details } = this.exchange;
    if (this.#hasWon) this.#original.respond(503, flag, "", details);
  }

  writeLocal(): void {
    this.#lose();
  }

  #lose(): void {
    if (this.#hasWon) return;
    this.giveUp();
    const original = this.#original;
    if (original.rival !== this) return;
    original.rival = undefined;
    if (this.#failure !== undefined) original.concludeFailure(this.#failure);
  }

  writeInterim(): void {}
  onExchangeOver(): void {}
  holdOff(): void {}
  switchProtocols(): undefined {
    queueMicrotask(() => this.#lose());
  }

  // ---- UpstreamLeg: what the original's client does not take, the copy's connection keeps --------

  get isOpenEnded(): boolean {
    return this.exchange.upstream?.isOpenEnded === true;
  }

  get isHttp2(): boolean {
    return this.exchange.upstream?.isHttp2 === true;
  }

  pause(): void {
    this.exchange.upstream?.pause();
  }

  resume(): void {
    this.exchange.upstream?.resume();
  }

  abandon(): void {
    this.giveUp();
  }

  sendRequest(): void {}
  sendBody(): void {}
}
