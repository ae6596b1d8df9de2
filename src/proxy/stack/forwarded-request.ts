/**
 * A request on its way to its endpoint: the half of an exchange that goes upstream.
 *
 * The body is passed through as it comes. It is kept only where there is no connection yet, or for a retry
 * (request-body.ts), and mirrors are told of it as it passes. An endpoint that takes no more stops the client.
 *
 * Not here: which connection it goes out on, how often, and what comes back (exchange.ts).
 */

import type { UpstreamLeg } from "./legs.ts";
import { RequestBody } from "./request-body.ts";
import { RequestRecord } from "./request-record.ts";
import type { Shadow } from "./shadow.ts";
import { Tries } from "./tries.ts";

export class ForwardedRequest extends RequestRecord {
  /** The head that goes upstream, without its last empty line. */
  outgoing = "";
  upstream: UpstreamLeg | undefined = undefined;
  isRequestDone = false;
  /** Exchange and all: nothing of it goes anywhere any more. */
  isOver = false;
  /** Copies of it on their way to mirrors. */
  shadows: Shadow[] | undefined = undefined;
  readonly tries: Tries = new Tries();
  protected readonly body: RequestBody = new RequestBody();
  #onceWhole: (() => void) | undefined = undefined;

  /** The body bytes that came in the same read as the head; they are in place only until the handler returns. */
  offerFirst(bytes: Buffer, start: number, end: number, isDone: boolean): void {
    this.isRequestDone = isDone;
    this.requestBytes += end - start;
    this.body.offer(bytes, start, end);
  }

  /** The handler returned: what it left in place is copied. */
  settle(): void {
    this.body.settle(!this.isOver);
  }

  onRequestBody(bytes: Buffer, start: number, end: number, isDone: boolean): void {
    this.isRequestDone = isDone;
    this.requestBytes += end - start;
    const { upstream, shadows } = this;
    if (shadows !== undefined) {
      for (const shadow of shadows) shadow.onBody(bytes, start, end, isDone, this.requestTrailers);
    }
    if (isDone) this.#becomeWhole();
    const body = this.body;
    if (upstream === undefined || body.isForRetry) {
      body.keep(bytes, start, end, upstream !== undefined);
    }
    if (upstream === undefined) {
      this.downstream.pause();
      return;
    }
    body.hasLeft = true;
    upstream.sendBody(bytes, start, end, isDone, this.requestTrailers);
    if (upstream.isBackedUp) this.downstream.pause();
  }

  /** The request ended with trailers (HTTP/2). */
  onRequestTrailers(lines: string): void {
    this.requestTrailers = lines;
    this.onRequestBody(nothing, 0, 0, true);
  }

  /** The client has said all: from now on its answer is waited for. */
  #becomeWhole(): void {
    if (this.isOver) return;
    this.#onceWhole?.();
    this.tries.startLimit(this);
  }

  /** Calls `tell` once the request has come to its end, at once where it has; one may ask. */
  onceWhole(tell: () => void): void {
    if (this.isRequestDone) tell();
    else this.#onceWhole = tell;
  }

  /** From now on the body is kept for a retry, as far as it fits. */
  keepBody(): void {
    this.body.isForRetry = true;
  }

  /** Whether everything sent so far could be sent again. */
  get canReplay(): boolean {
    return this.body.canReplay;
  }

  /** What is kept of its body, here and on the way to its endpoint. */
  get heldBytes(): number {
    return this.body.heldBytes + (this.upstream?.queuedBytes ?? 0);
  }

  /** The copy gets the body as far as it has come by now. */
  copyBodyTo(copy: ForwardedRequest): void {
    copy.isRequestDone = this.isRequestDone;
    copy.requestTrailers = this.requestTrailers;
    this.body.copyTo(copy.body);
  }
}

const nothing = Buffer.alloc(0);
