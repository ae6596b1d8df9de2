/**
 * One request and its answer: what filters decide on, and the two connections it joins.
 *
 * The downstream codec makes it when a head is complete and hands it to the chain's handler; a filter answers it
 * (`respond`), the router sends it upstream (`attempt`). It ends exactly once (`#end`), whatever happened, and then
 * whoever asked with `atEnd` is told. One attempt at a time is under way; a retry is a new attempt of the same exchange.
 *
 * Bodies are passed through as they come. Bytes are only kept where there is no connection yet or where a retry must be
 * able to send them again, up to 64 KiB; beyond that the request is not retried.
 *
 * Not here: which cluster and host (filter/router.ts), whether to retry (filter/retries.ts), bytes (codec/).
 */

import { mark } from "../../wire/http1/field-names.ts";
import { lineValue } from "../../wire/http2/lines.ts";
import { anyFieldIs, fieldValue, findField } from "../codec/heads.ts";
import type { Target } from "../codec/target.ts";
import type { HttpUpstream } from "../codec/upstream.ts";
import type { CompiledEdit } from "../config/header-edits.ts";
import type { Subject } from "../config/matchers.ts";
import type { CompiledRoute } from "../config/route-table.ts";
import type { Peer } from "../peer.ts";
import { Tunnel } from "../tcp/tunnel.ts";
import type { Timeout } from "../timer-wheel.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import type { Host } from "../upstream/host.ts";
import type { PendingRequests } from "../upstream/pending.ts";
import { httpStatusOf, knownGrpcStatus } from "./grpc-status.ts";
import type { Head } from "./head.ts";
import type { DownstreamLeg, UpstreamLeg } from "./legs.ts";
import type { Failure, ResponseFlag } from "./outcome.ts";
import { isBodyless, replyFor } from "./outcome.ts";
import type { Recoding } from "./recoding.ts";
import type { Rival } from "./rival.ts";
import type { Shadow } from "./shadow.ts";

/** What is kept for a retry. Linkerd's limit. */
const maxKeptBytes = 64 * 1024;

/** Refusals of streams that are not told to anybody: another connection nearly always takes the request. */
const maxRefusals = 2;

/** Sends an exchange upstream once more; the router. */
export type Attempt = (exchange: Exchange) => void;

/** Decides on retries; see filter/retries.ts. */
export interface RetryDecision {
  /** True: another attempt has been arranged, and this outcome is not the answer. */
  afterFailure(exchange: Exchange, failure: Failure): boolean;
  afterHead(exchange: Exchange, head: Head, text: string): boolean;
}

export class Exchange implements Subject {
  readonly downstream: DownstreamLeg;
  readonly peer: Peer;
  readonly startedAt: number;
  /** 0: it is not over. */
  endedAt = 0;
  /** The head as text; the parser's offsets count from its start. The parser is only ours until `outgoing` is set. */
  readonly head: Head;
  readonly headBytes: number;
  readonly text: string;
  readonly method: string;
  readonly authority: string;
  /** The authority of an absolute-form target, which replaces Host (RFC 9112 §3.2.2). */
  readonly targetAuthority: string | undefined;
  path: string;
  query: string;
  readonly wantsUpgrade: boolean;
  /** The request's body comes in the chunks of HTTP/1.1. */
  readonly isChunked: boolean;
  /** The request's body, where there is one, comes bare and without a length: only its end says where it ends. */
  readonly isOpenEnded: boolean;
  /** It is a call of gRPC, in HTTP/2. */
  isGrpc = false;
  /** How long the caller of gRPC waits. */
  grpcTimeoutMs: number | undefined = undefined;
  /** Fields that came as never to be put in a table (RFC 7541 §7.1.3). */
  sensitive: ReadonlySet<string> | undefined = undefined;
  /** Lines of trailers that came in HTTP/2. */
  requestTrailers = "";
  readonly expectsContinue: boolean;

  /** How the client came, and whether it is a stranger to the mesh; see filter/edge.ts. */
  scheme: "http" | "https" = "http";
  isFromOutside = false;

  /** Set by the filters as they decide. */
  route: CompiledRoute | undefined = undefined;
  cluster: ClusterRuntime | undefined = undefined;
  host: Host | undefined = undefined;
  responseEdit: CompiledEdit | undefined = undefined;
  /** Complete lines that the sidecar's own answers to this request carry. */
  localFields = "";
  attempt: Attempt | undefined = undefined;
  retries: RetryDecision | undefined = undefined;
  deadline: Timeout | undefined = undefined;
  perTry: Timeout | undefined = undefined;
  perTryMs = 0;
  /** The flag of an answer that was to be retried and could not be: out of tries, or over the budget. */
  retryRefusal: "URX" | "UO" | undefined = undefined;
  isRetrying = false;
  attempts = 0;
  /** Requests that the application had under way when this one arrived; of inbound ones. */
  foundUnderWay = 0;
  /** Changes whenever an attempt begins or ends: what was started for an earlier one is not ours any more. */
  epoch = 0;
  tried: Host[] | undefined = undefined;
  /** When the present attempt began; only where its cluster measures latency. */
  triedAt = 0;
  /** Where it waits for a connection. */
  pending: PendingRequests | undefined = undefined;
  /** Asked when there is an answer: what its body is to go through. */
  recode: ((head: Head, text: string) => Recoding | undefined) | undefined = undefined;
  /** What its body goes through. */
  recoding: Recoding | undefined = undefined;
  /** A second try that is under way beside the first. */
  rival: Rival | undefined = undefined;
  /** Copies of it on their way to mirrors. */
  shadows: Shadow[] | undefined = undefined;
  /** What consistent hashing picks by. */
  hashKey: number | undefined = undefined;

  /** The outcome, for metrics and log. Status 0: the client left before there was one. */
  status = 0;
  flag: ResponseFlag = "-";
  details = "via_upstream";
  requestBytes: number;
  responseBytes = 0;
  grpcStatus = "";

  /** The head that goes upstream, without its last empty line. */
  outgoing = "";
  upstream: UpstreamLeg | undefined = undefined;
  hasResponse = false;
  isOver = false;
  isRequestDone = false;

  #keepsBody = false;
  #hasSentBody = false;
  #kept: Buffer[] | undefined;
  #keptBytes = 0;
  #firstBytes: Buffer | undefined;
  #firstStart = 0;
  #firstEnd = 0;
  #ends: ((exchange: Exchange) => void)[] = [];
  #isAttempting = false;
  #refusals = 0;
  /** It was lost with a reused connection, and went out once more. */
  #hasLostRace = false;

  constructor(
    downstream: DownstreamLeg,
    head: Head,
    text: string,
    target: Target,
    host: string,
    startedAt: number,
  ) {
    this.downstream = downstream;
    this.peer = downstream.peer;
    this.head = head;
    this.text = text;
    this.method = text.slice(head.lineStart, head.methodEnd);
    this.path = target.path;
    this.query = target.query;
    this.targetAuthority = target.authority;
    this.authority = target.authority ?? host;
    this.isChunked = head.isChunked;
    this.isOpenEnded = downstream.protocol === "HTTP/2" && head.contentLength < 0;
    this.wantsUpgrade = head.upgrades && this.method === "GET" && isWebSocket(head, text);
    this.expectsContinue = head.expectsContinue;
    this.startedAt = startedAt;
    this.headBytes = this.requestBytes = head.headEnd;
  }

  get destinationPort(): number {
    return this.peer.destinationPort;
  }

  get sourceAddress(): string {
    return this.peer.sourceAddress;
  }

  get principal(): string | undefined {
    return this.peer.principal;
  }

  field(name: string): string | undefined {
    if (name.charCodeAt(0) === 58) {
      if (name === ":authority") return this.authority;
      if (name === ":method") return this.method;
      if (name === ":path") return this.path + this.query;
      if (name === ":scheme") return this.scheme;
    }
    if (name === "host") return this.authority;
    return findField(this.head, this.text, name);
  }

  anyField(name: string, takes: (value: string) => boolean): boolean {
    if (name.charCodeAt(0) !== 58 && name !== "host") {
      return anyFieldIs(this.head, this.text, name, takes);
    }
    const value = this.field(name);
    return value !== undefined && takes(value);
  }

  editResponse(edit: CompiledEdit | undefined): void {
    if (this.responseEdit === undefined) this.responseEdit = edit;
    else if (edit !== undefined) this.addResponseLines(edit.lines, [...edit.dropped]);
  }

  /** Puts complete lines, each with its CRLF, into the answer, and takes the fields named (lower case) out of it. */
  addResponseLines(lines: string, dropped: readonly string[] = []): void {
    const edit = this.responseEdit;
    this.responseEdit = {
      dropped: new Set([...(edit?.dropped ?? []), ...dropped]),
      lines: (edit?.lines ?? "") + lines,
      authority: edit?.authority,
    };
  }

  /** Calls `tell` once the exchange is over. */
  atEnd(tell: (exchange: Exchange) => void): void {
    this.#ends.push(tell);
  }

  /** From now on the body is kept for a retry, as far as it fits. */
  keepBody(): void {
    this.#keepsBody = true;
  }

  /** Whether everything sent so far could be sent again. */
  get canReplay(): boolean {
    return !this.#hasSentBody || (this.#keepsBody && this.#keptBytes <= maxKeptBytes);
  }

  /** What is kept of its body, here and on the way to its endpoint. */
  get heldBytes(): number {
    const kept = this.#kept === undefined ? 0 : this.#keptBytes;
    return kept + (this.upstream?.queuedBytes ?? 0);
  }

  // ---- the request's body, from downstream ----------------------------------------------------

  /** The body bytes that came in the same read as the head; they are in place only until the handler returns. */
  offerFirst(bytes: Buffer, start: number, end: number, isDone: boolean): void {
    this.isRequestDone = isDone;
    this.requestBytes += end - start;
    if (start === end) return;
    this.#firstBytes = bytes;
    this.#firstStart = start;
    this.#firstEnd = end;
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
    copy.requestTrailers = this.requestTrailers;
    copy.isRequestDone = this.isRequestDone;
    copy.#firstBytes = this.#firstBytes;
    copy.#firstStart = this.#firstStart;
    copy.#firstEnd = this.#firstEnd;
    copy.#kept = this.#kept?.slice();
    copy.#keptBytes = this.#keptBytes;
    return copy;
  }

  /** The handler returned: what it left in place is copied. */
  settle(): void {
    const bytes = this.#firstBytes;
    if (bytes === undefined) return;
    this.#firstBytes = undefined;
    if (!this.isOver) this.#keep(bytes, this.#firstStart, this.#firstEnd);
  }

  onRequestBody(bytes: Buffer, start: number, end: number, isDone: boolean): void {
    this.isRequestDone = isDone;
    this.requestBytes += end - start;
    const { upstream, shadows } = this;
    if (shadows !== undefined) {
      for (const shadow of shadows) shadow.onBody(bytes, start, end, isDone, this.requestTrailers);
    }
    if (upstream === undefined || this.#keepsBody) this.#keep(bytes, start, end);
    if (upstream === undefined) {
      this.downstream.pause();
      return;
    }
    this.#hasSentBody = true;
    upstream.sendBody(bytes, start, end, isDone, this.requestTrailers);
    if (upstream.isBackedUp) this.downstream.pause();
  }

  /** The request ended with trailers (HTTP/2). */
  onRequestTrailers(lines: string): void {
    this.requestTrailers = lines;
    this.onRequestBody(nothing, 0, 0, true);
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.#keptBytes += end - start;
    if (this.#keepsBody && this.#keptBytes > maxKeptBytes && this.upstream !== undefined) {
      this.#kept = undefined; // too long to send again
      return;
    }
    const copy = Buffer.allocUnsafe(end - start);
    bytes.copy(copy, 0, start, end);
    this.#kept ??= [];
    this.#kept.push(copy);
  }

  // ---- one attempt, from upstream --------------------------------------------------------------

  /** An attempt at `host` begins: it counts towards the cluster's limits until `#endAttempt`. */
  beginAttempt(host: Host): void {
    this.host = host;
    this.attempts++;
    this.epoch++;
    this.#isAttempting = true;
    host.active++;
    if (this.cluster !== undefined) {
      this.cluster.activeRequests++;
      if (this.cluster.measuresLatency) this.triedAt = this.downstream.environment.now();
    }
    if (this.perTry !== undefined)
      this.downstream.environment.wheel.arm(this.perTry, this.perTryMs);
  }

  #endAttempt(): void {
    this.pending?.leave(this); // a health check waits there without being an attempt
    if (!this.#isAttempting) return;
    this.#isAttempting = false;
    this.epoch++;
    if (this.host !== undefined) this.host.active--;
    if (this.cluster !== undefined) {
      this.cluster.activeRequests--;
      this.#endRetry();
    }
    if (this.perTry !== undefined) this.downstream.environment.wheel.cancel(this.perTry);
  }

  #endRetry(): void {
    if (!this.isRetrying) return;
    this.isRetrying = false;
    if (this.cluster !== undefined) this.cluster.activeRetries--;
  }

  /** The try is over without an answer for the client; the exchange is not. */
  endTry(): void {
    this.upstream = undefined; // by the time of the next try it may carry somebody else's exchange
    this.#endAttempt();
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
    const isDone = this.isRequestDone;
    const first = this.#firstBytes;
    const kept = this.#kept;
    this.#hasSentBody ||= kept !== undefined || first !== undefined;
    if (kept !== undefined) {
      const body = kept.length === 1 ? kept[0] : Buffer.concat(kept);
      if (!this.#keepsBody) this.#kept = undefined;
      upstream.sendRequest(this, body, 0, body?.length ?? 0, isDone);
    } else if (first !== undefined) {
      upstream.sendRequest(this, first, this.#firstStart, this.#firstEnd, isDone);
      if (this.#keepsBody) this.#keep(first, this.#firstStart, this.#firstEnd);
      this.#firstBytes = undefined;
    } else upstream.sendRequest(this, undefined, 0, 0, isDone);
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
    // How a call of gRPC went is said at its end, which is here where there is no body.
    if (this.isGrpc && isDone) this.#noteGrpcStatus(findField(head, text, "grpc-status"));
    if (!this.isGrpc || isDone || head.status !== 200) {
      this.host?.report(this.outcome(head.status), this.triedAt);
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
    const isEmpty = isDone && start === end;
    const recoding = isEmpty ? undefined : this.recode?.(head, text);
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
    this.upstream = undefined;
    if (this.isGrpc && trailers !== "") {
      this.#noteGrpcStatus(lineValue(trailers, "grpc-status"));
      this.host?.report(this.outcome(this.status), this.triedAt);
    }
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

  #noteGrpcStatus(text: string | undefined): void {
    this.grpcStatus = knownGrpcStatus(text);
  }

  /** What the answer counts as where success is judged by HTTP's statuses: a failed call of gRPC has status 200, too. */
  outcome(status: number): number {
    return this.grpcStatus === "" ? status : httpStatusOf(this.grpcStatus);
  }

  /** The answer is 101: both connections become a tunnel, and the exchange lasts as long as it. */
  onUpgrade(upstream: HttpUpstream, head: Head, text: string, after: Buffer): void {
    this.status = head.status;
    this.hasResponse = true;
    this.upstream = undefined;
    // The answer was waited for; the conversation that follows lasts as long as it lasts.
    if (this.deadline !== undefined) this.downstream.environment.wheel.cancel(this.deadline);
    const switched = this.downstream.switchProtocols(this, head, text, upstream.transport);
    if (switched === undefined) return; // nobody who cannot switch asks for it
    const { transport, ahead } = switched;
    const tunnel = new Tunnel(transport, upstream.transport, (closed) => {
      this.requestBytes += closed.fromDownstreamBytes;
      this.responseBytes += closed.fromUpstreamBytes;
      upstream.onTunnelClosed();
      switched.onTunnelClosed();
      this.#end();
    });
    if (ahead !== undefined) tunnel.sendUpstream(ahead);
    if (after.length > 0) tunnel.sendDownstream(after);
    tunnel.start();
  }

  /** The attempt came to nothing before the answer was complete. */
  onFailure(failure: Failure): void {
    if (this.isOver) return;
    const upstream = this.upstream;
    this.upstream = undefined;
    this.host?.reportFailure(failure);
    if (this.hasResponse) {
      // Status and head are out: the only honest thing left is to break the connection.
      this.flag = replyFor(failure).flag;
      this.details = `upstream_reset_after_response_started{${failure}}`;
      this.downstream.breakOff();
      this.#end();
      return;
    }
    const mayBeRace = upstream?.isReused === true && !this.#hasLostRace;
    if (
      failure === "reset" &&
      mayBeRace &&
      this.mayRunTwice &&
      this.canReplay &&
      this.attempt !== undefined
    ) {
      // RFC 9112 §9.3.1: the peer closed an idle connection just as we took it; nothing of this request was read. Once
      // only: a request that breaks every connection it is given would go round for ever, outside every budget.
      this.#hasLostRace = true;
      this.#endAttempt();
      this.attempts--;
      this.attempt(this);
      return;
    }
    if (failure === "refused" && this.canReplay && this.attempt !== undefined) {
      // RFC 9113 §8.7: the endpoint did not look at it. Mostly it takes fewer streams than its connection was given.
      if (this.#refusals++ < maxRefusals) {
        this.#endAttempt();
        this.attempts--;
        this.attempt(this);
        return;
      }
    }
    if (this.rival?.takesOver(failure) === true) this.endTry();
    else this.concludeFailure(failure);
  }

  /** No try is under way: another one, or the failure is the answer. */
  concludeFailure(failure: Failure): void {
    if (this.retries?.afterFailure(this, failure) === true) return;
    const reply = replyFor(failure, this.attempts > 1);
    const flag = this.retryRefusal ?? reply.flag;
    this.respond(reply.status, flag, reply.body, `upstream_failure{${failure}}`);
  }

  /** Gives up the attempt that is under way: its connection is closed, for nobody may read the rest of it. */
  abandonAttempt(): void {
    this.upstream?.abandon();
    this.upstream = undefined;
    this.#endAttempt();
  }

  /** Its method is idempotent (RFC 9110 §9.2.2). */
  get mayRunTwice(): boolean {
    const { method } = this;
    return (
      method === "GET" ||
      method === "HEAD" ||
      method === "OPTIONS" ||
      method === "TRACE" ||
      method === "PUT" ||
      method === "DELETE"
    );
  }

  // ---- endings ---------------------------------------------------------------------------------

  /** Answers here and now; where an answer is already on its way, breaks the connection instead. */
  respond(status: number, flag: ResponseFlag, body: string, details: string, fields = ""): void {
    if (this.isOver) return;
    this.flag = flag;
    this.details = details;
    this.abandonAttempt();
    if (this.hasResponse) this.downstream.breakOff();
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
    this.#endAttempt();
    this.#endRetry();
    if (this.deadline !== undefined) this.downstream.environment.wheel.cancel(this.deadline);
    this.#kept = undefined;
    this.#tell();
    this.downstream.onExchangeOver(this);
  }

  #tell(): void {
    const ends = this.#ends;
    for (let i = 0; i < ends.length; i++) ends[i]?.(this);
  }
}

/** An answer's head as it arrived, with what came of the body: the arguments of `onResponse`. */
export interface AnswerHead {
  readonly head: Head;
  readonly text: string;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly isDone: boolean;
}

const nothing = Buffer.alloc(0);

/**
 * WebSocket is the one protocol that may be switched to, as with Istio: after any other switch (h2c above all) requests
 * would go on inside the tunnel that no policy sees. An upgrade that is not taken up is an ordinary request (RFC 9110 §7.8);
 * one with a body is never taken up, since not all servers agree where that body ends and the tunnel begins.
 */
function isWebSocket(head: Head, text: string): boolean {
  if (head.isChunked || head.contentLength > 0) return false;
  const index = head.fieldAt(mark.upgrade);
  if (index < 0 || fieldValue(head, text, index).toLowerCase() !== "websocket") return false;
  return findField(head, text, "sec-websocket-key") !== undefined; // without it there is no handshake (RFC 6455 §4.1)
}
