/**
 * A copy of a request on its way to a mirror: an exchange without a client.
 *
 * It is sent like any request and its answer is thrown away. It follows the request that it is a copy of, its original:
 * bytes of the body reach it as they come, and it never asks anybody to wait. Where the mirror takes them slower than
 * they come, up to a mebibyte is kept; a copy that falls back further is given up, as is one whose original was given
 * up. After its original has ended it has some seconds left.
 *
 * Not here: which requests are copied, how many at a time (filter/mirror.ts).
 */

import type { Environment } from "../environment.ts";
import type { Holder } from "../overload.ts";
import type { Peer } from "../peer.ts";
import { Timeout } from "../timer-wheel.ts";
import type { Exchange } from "./exchange.ts";
import type { DownstreamLeg } from "./legs.ts";

/** As much as Envoy keeps of a body for its mirrors. */
const maxBehindBytes = 1024 * 1024;
/** What Envoy gives a request by default. */
const afterlifeMs = 15_000;

export class Shadow implements DownstreamLeg, Holder {
  readonly peer: Peer;
  readonly environment: Environment;
  readonly protocol: DownstreamLeg["protocol"];
  readonly joinsBodies = false;
  readonly exchange: Exchange;
  readonly #onOver: (wasGivenUp: boolean) => void;
  #isBehind = false;
  #behindBytes = 0;
  #wasGivenUp = false;

  /** Copies `original` as far as it has come. `onOver` is called once. */
  constructor(original: Exchange, onOver: (wasGivenUp: boolean) => void) {
    const { peer, environment, protocol } = original.downstream;
    this.peer = peer;
    this.environment = environment;
    this.protocol = protocol;
    this.#onOver = onOver;
    this.exchange = original.copyFor(this);
    environment.overload.others.add(this);
    original.atEnd(() => this.#onOriginalOver());
  }

  get heldBytes(): number {
    return this.exchange.heldBytes;
  }

  /** Bytes of the original's body, in place only during the call. */
  onBody(bytes: Buffer, start: number, end: number, isDone: boolean, trailers: string): void {
    const { exchange } = this;
    if (exchange.isOver) return;
    if (this.#isBehind) this.#behindBytes += end - start;
    if (this.#behindBytes > maxBehindBytes) {
      this.#giveUp();
      return;
    }
    exchange.requestTrailers = trailers;
    exchange.onRequestBody(bytes, start, end, isDone);
  }

  #onOriginalOver(): void {
    const { exchange, environment } = this;
    if (exchange.isOver) return;
    if (!exchange.isRequestDone) {
      this.#giveUp(); // the rest of it will never come
      return;
    }
    const end = new Timeout(() => this.#giveUp());
    exchange.atEnd(() => environment.wheel.cancel(end));
    environment.wheel.arm(end, afterlifeMs);
  }

  #giveUp(): void {
    this.#wasGivenUp = true;
    this.exchange.onDownstreamClosed();
  }

  // ---- DownstreamLeg: there is no client to tell ------------------------------------------------

  pause(): void {
    this.#isBehind = true;
  }

  resume(): void {
    this.#isBehind = false;
    this.#behindBytes = 0;
  }

  onExchangeOver(): void {
    this.environment.overload.others.delete(this);
    this.#onOver(this.#wasGivenUp);
  }

  switchProtocols(): undefined {
    return undefined;
  }

  holdOff(): void {}
  writeLocal(): void {}
  writeInterim(): void {}
  writeResponse(): void {}
  writeResponseBody(): void {}
  writeResponseEnd(): void {}
  breakOff(): void {}
}
