/**
 * One request and its answer, from the head to the end, and the two connections that it joins.
 *
 * The downstream codec makes it when a head is complete and hands it to the chain's handler; a filter answers it
 * (`respond`), the router sends it upstream (`attempt`). It ends exactly once (`#end`), whatever happened, and then
 * whoever asked with `atEnd` is told. One attempt at a time is under way; a retry is a new attempt of the same exchange.
 *
 * Not here: what was asked (request.ts), what was decided and what came of it (request-record.ts), how the request's body
 * goes upstream (forwarded-request.ts), how tries are counted (tries.ts), what follows an upgrade (upgrade.ts); which
 * cluster and host (filter/router.ts), whether to retry (filter/retries.ts), bytes (codec/).
 */

import { findField } from "../codec/heads.ts";
import type { Timeout } from "../timer-wheel.ts";
import type { Host } from "../upstream/host.ts";
import { judgeCallByEnd, judgeCallByHead } from "./call-judgement.ts";
import { ForwardedRequest } from "./forwarded-request.ts";
import type { AnswerHead, Head } from "./head.ts";
import type { DownstreamLeg, Upgraded, UpstreamLeg } from "./legs.ts";
import type { Failure, ResponseFlag } from "./outcome.ts";
import { isBodyless, replyFor } from "./outcome.ts";
import type { Recoding } from "./recoding.ts";
import type { Rival } from "./rival.ts";
import type { Attempt, RetryDecision } from "./tries.ts";
import { joinSides } from "./upgrade.ts";

export class Exchange extends ForwardedRequest {
  // Set by filters: how it goes on from them.
  attempt: Attempt | undefined = undefined;
  retries: RetryDecision | undefined = undefined;
  deadline: Timeout | undefined = undefined;
  /** The flag of an answer that was to be retried and could not be: out of tries, or over the budget. */
  retryRefusal: "URX" | "UO" | undefined = undefined;
  /** Asked when there is an answer: what its body is to go through, unless that is empty. */
  recode: ((head: Head, text: string, isEmpty: boolean) => Recoding | undefined) | undefined =
    undefined;
  /** What its body goes through. */
  recoding: Recoding | undefined = undefined;
  /** A second try that is under way beside the first. */
  rival: Rival | undefined = undefined;

  hasResponse = false;
  readonly #ends: ((exchange: Exchange) => void)[] = [];

  get attempts(): number {
    return this.tries.count;
  }

  /** Calls `tell` once the exchange is over. */
  atEnd(tell: (exchange: Exchange) => void): void {
    this.#ends.push(tell);
  }

  /** The request again, as far as it has come, for a leg of its own. Only before `settle`, as everything in place. */
  copyFor(leg: DownstreamLeg): Exchange {
    const copy = new Exchange(
      leg,
      this.head,
      this.text,
      { path: this.path, query: this.query, authority: this.targetAuthority },
      this.authority,
      this.startedAt,
    );
    copy.isGrpc = this.isGrpc;
    copy.sensitive = this.sensitive;
    this.copyBodyTo(copy);
    return copy;
  }

  // ---- one attempt, from upstream --------------------------------------------------------------

  /** An attempt at `host` begins. */
  beginAttempt(host: Host): void {
    this.host = host;
    this.tries.begin(this, host);
  }

  /** The try is over without an answer for the client; the exchange is not. */
  endTry(): void {
    this.upstream = undefined; // by the time of the next try it may carry somebody else's exchange
    this.tries.end(this);
  }

  /** The try under way takes too long, or is of no use any more. */
  giveUpTry(failure: Failure): void {
    const { upstream } = this;
    this.upstream = undefined;
    upstream?.abandon();
    this.onFailure(failure);
  }

  /** The connection is this exchange's: everything that is known of the request goes out in one write. */
  onConnection(upstream: UpstreamLeg): void {
    this.upstream = upstream;
    this.body.sendWith(this, upstream);
    if (!upstream.isBackedUp) this.downstream.resume();
  }

  onUpstreamDrain(): void {
    if (!this.isRequestDone) this.downstream.resume();
  }

  /** An interim answer (1xx but 101) goes on. */
  onInterim(head: Head, text: string): void {
    this.downstream.writeInterim(head, text);
  }

  /** The answer's head, and the body bytes that came with it. False: it was not the answer, another attempt follows. */
  onResponse(
    head: Head,
    text: string,
    bytes: Buffer,
    start: number,
    end: number,
    isDone: boolean,
  ): boolean {
    if (this.tries.startedAt > 0) this.host?.noteAnswer(this.tries.startedAt);
    if (this.isGrpc) judgeCallByHead(this, head, text, isDone);
    else this.host?.report(head.status);
    if (this.wantsUpgrade && this.downstream.protocol === "HTTP/2" && isSuccess(head.status)) {
      // To a client of HTTP/2 it would say that the other protocol was taken up.
      this.endTry();
      this.respond(502, "UPE", "", "upgrade_ignored");
      return false;
    }
    if (this.retries?.afterHead(this, head, text) === true) return false;
    if (this.retryRefusal !== undefined) this.flag = this.retryRefusal;
    this.rival?.giveUp();
    this.rival = undefined;
    this.#answer(head, text, bytes, start, end, isDone);
    return true;
  }

  #answer(
    head: Head,
    text: string,
    bytes: Buffer,
    start: number,
    end: number,
    isDone: boolean,
  ): void {
    this.status = head.status;
    this.hasResponse = true;
    this.completeResponseEdit();
    const isEmpty = isDone && start === end;
    const recoding = this.recode?.(head, text, isEmpty);
    if (recoding === undefined) {
      this.downstream.writeResponse(this, head, text, bytes, start, end, isDone);
      return;
    }
    this.recoding = this.upstream = recoding;
    this.downstream.writeResponse(this, head, text, nothing, 0, 0, false);
    recoding.write(bytes, start, end);
  }

  /** The rival's answer is the one: what is still under way is given up, and the rest of the answer comes by `leg`. */
  takeAnswerOf(leg: UpstreamLeg, host: Host | undefined, answer: AnswerHead): void {
    this.abandonAttempt();
    this.upstream = leg;
    this.host = host;
    const { head, text, bytes, start, end, isDone } = answer;
    if (this.isGrpc && isDone) this.noteGrpcStatus(findField(head, text, "grpc-status"));
    this.#answer(head, text, bytes, start, end, isDone);
  }

  onResponseBody(bytes: Buffer, start: number, end: number): void {
    if (this.recoding !== undefined) this.recoding.write(bytes, start, end);
    else this.downstream.writeResponseBody(this, bytes, start, end);
  }

  /** The answer is complete, and the upstream connection already looked after. */
  onResponseDone(trailers: string, now: number): void {
    if (this.recoding !== undefined) {
      this.recoding.finish(trailers);
      return;
    }
    this.endedAt = now;
    if (this.isGrpc) judgeCallByEnd(this, trailers);
    this.upstream = undefined;
    this.downstream.writeResponseEnd(this, trailers);
    this.#end();
  }

  /** The last of a recoded body has gone out. */
  endRecoded(trailers: string): void {
    if (this.isOver) return;
    this.upstream = undefined;
    this.downstream.writeResponseEnd(this, trailers);
    this.#end();
  }

  /** The other protocol is taken up: both sides become a tunnel, and the exchange lasts as long as it. */
  onUpgrade(upstream: Upgraded, head: Head, text: string, after: Buffer): void {
    this.status = 101; // also where HTTP/2 said 200
    this.hasResponse = true;
    this.upstream = undefined;
    // The answer was waited for; the conversation that follows lasts as long as it lasts.
    if (this.deadline !== undefined) this.downstream.environment.wheel.cancel(this.deadline);
    const switched = this.downstream.switchProtocols(this, head, text, upstream.transport);
    if (switched === undefined) {
      // Nobody who cannot switch asks for it; were it otherwise, the connection would be nobody's to close.
      upstream.transport.destroy();
      upstream.onTunnelClosed();
      this.#end();
      return;
    }
    joinSides(switched, upstream, after, (closed) => {
      this.requestBytes += closed.fromDownstreamBytes;
      this.responseBytes += closed.fromUpstreamBytes;
      this.#end();
    });
  }

  /** The caller of gRPC waits no longer. */
  get isPastDeadline(): boolean {
    const { grpcTimeoutMs, startedAt } = this;
    if (grpcTimeoutMs === undefined) return false;
    return this.downstream.environment.now() - startedAt >= grpcTimeoutMs;
  }

  /** The attempt came to nothing before the answer was complete. */
  onFailure(failure: Failure): void {
    if (this.isOver) return;
    const upstream = this.upstream;
    this.upstream = undefined;
    if (this.tries.isAtHost) this.host?.reportFailure(failure);
    if (this.hasResponse) {
      // Status and head are out: the only honest thing left is to break the connection.
      this.flag = replyFor(failure).flag;
      this.details = `upstream_reset_after_response_started{${failure}}`;
      this.downstream.breakOff(failure === "cancelled" || this.isPastDeadline);
      this.#end();
      return;
    }
    if (this.isPastDeadline) {
      // The endpoint's timer was faster than ours.
      this.respond(504, "UT", "upstream request timeout", "response_timeout");
      return;
    }
    if (this.tries.isFreeAgain(this, failure, upstream)) {
      this.tries.takeBack(this);
      this.attempt?.(this);
      return;
    }
    if (this.rival?.takesOver(failure) === true) this.endTry();
    else this.concludeFailure(failure);
  }

  /** No try is under way: another one, or the failure is the answer. */
  concludeFailure(failure: Failure): void {
    if (this.retries?.afterFailure(this, failure) === true) return;
    const reply = replyFor(failure, this.tries.count > 1);
    const flag = this.retryRefusal ?? reply.flag;
    this.respond(reply.status, flag, reply.body, `upstream_failure{${failure}}`, reply.fields);
  }

  /** Gives up the attempt that is under way: its connection is closed, for nobody may read the rest of it. */
  abandonAttempt(): void {
    this.upstream?.abandon();
    this.upstream = undefined;
    this.tries.end(this);
  }

  // ---- endings ---------------------------------------------------------------------------------

  /** Answers here and now; where an answer is already on its way, breaks the connection instead. */
  respond(status: number, flag: ResponseFlag, body: string, details: string, fields = ""): void {
    if (this.isOver) return;
    this.flag = flag;
    this.details = details;
    this.abandonAttempt();
    if (this.hasResponse) this.downstream.breakOff(this.isPastDeadline);
    else {
      this.status = status;
      this.hasResponse = true;
      const said = isBodyless(status) ? "" : body; // it would be taken for the next answer
      this.downstream.writeLocal(this, status, said, fields + this.localFields);
    }
    this.#end();
  }

  /** The client is gone. */
  onDownstreamClosed(): void {
    if (this.isOver) return;
    this.flag = "DC";
    this.details = "downstream_remote_disconnect";
    if (!this.hasResponse) this.status = 0;
    this.abandonAttempt();
    this.#end();
  }

  #end(): void {
    if (this.isOver) return;
    this.isOver = true;
    if (this.endedAt === 0) this.endedAt = this.downstream.environment.now();
    this.rival?.giveUp();
    this.tries.end(this);
    if (this.cluster !== undefined) this.tries.endRetry(this.cluster);
    if (this.deadline !== undefined) this.downstream.environment.wheel.cancel(this.deadline);
    this.body.drop();
    this.#tell();
    this.downstream.onExchangeOver(this);
  }

  #tell(): void {
    const ends = this.#ends;
    for (let i = 0; i < ends.length; i++) ends[i]?.(this);
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

const nothing = Buffer.alloc(0);
