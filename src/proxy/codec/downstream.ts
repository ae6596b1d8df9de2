/**
 * The server side of one captured HTTP/1.1 connection: requests in, answers out, one at a time.
 *
 * States: `idle` waits for a request's first byte; `head` has part of one; `exchange` has handed a request on and
 * passes its body, and holds back what the client sends ahead of the answer; `rest` has answered before the request was
 * whole, without saying that it was the last answer, and takes what is left of it for nothing; `lingering` has said its
 * last word and reads on for a moment, so that the client gets to see it (RFC 9112 §9.6); `tunnel` carries another
 * protocol now, which someone else reads; `closed`.
 *
 * A connection belongs to a chain by name, not to a configuration: each request asks for the chain as it is now, so a
 * change is in force with the next request and no connection is touched.
 *
 * Not here: what to answer (stack/, filter/), how an answer is spelt (answer-half.ts), how heads are found (head-reader.ts),
 * and how bytes get on the wire (transport.ts).
 */

import { BodyReader } from "../../wire/http1/body.ts";
import { mark } from "../../wire/http1/field-names.ts";
import { requestFraming } from "../../wire/http1/framing.ts";
import type { HeadParser } from "../../wire/http1/head.ts";
import { type HttpProblem, statusOf } from "../../wire/http1/problem.ts";
import type { HttpChain } from "../config/tables.ts";
import type { Environment } from "../environment.ts";
import type { LiveConnection } from "../listen/connections.ts";
import type { Peer } from "../peer.ts";
import { Exchange } from "../stack/exchange.ts";
import type { Head } from "../stack/head.ts";
import type { DownstreamLeg, Switched } from "../stack/legs.ts";
import type { TunnelEnd } from "../tcp/tunnel-end.ts";
import { Timeout } from "../timer-wheel.ts";
import { AnswerHalf } from "./answer-half.ts";
import { HeadReader, SharedParser } from "./head-reader.ts";
import { fieldValue, introducePeer, ownMark, requestParser } from "./heads.ts";
import { keptBehind } from "./kept-bytes.ts";
import { Lingering } from "./lingering.ts";
import { Parting } from "./parting.ts";
import { descriptorOf } from "./sockets.ts";
import { parseTarget } from "./target.ts";
import type { Reader, Transport } from "./transport.ts";

/** The chain of this name in the configuration that is in force; undefined once it is gone. */
export type ChainLookup = () => HttpChain | undefined;

const parser = new SharedParser(requestParser);

type State = "idle" | "head" | "exchange" | "rest" | "tunnel" | "lingering" | "closed";

export class HttpDownstream extends AnswerHalf implements Reader, LiveConnection, DownstreamLeg {
  readonly transport: Transport;
  readonly peer: Peer;
  readonly environment: Environment;
  /** When the present state began; the sweep looks at it. */
  since: number;
  readonly #chain: ChainLookup;
  readonly #onClosed: (connection: HttpDownstream) => void;
  #state: State = "idle";
  #lastChain: HttpChain | undefined;
  readonly #heads = new HeadReader(parser);
  /** Bytes that came after the request that is being answered. */
  #ahead: Buffer | undefined;
  readonly #body = new BodyReader();
  protected exchange: Exchange | undefined;
  #isReading = false;
  /** Until when nothing is read. */
  #holdOff: Timeout | undefined;
  /** The other end of the tunnel that this connection has become. */
  #joined: TunnelEnd | undefined;
  #hasEnded = false;
  /** Since it has ended its side while its present request is answered. */
  #parting: Parting | undefined;
  /** Since its last answer is written. */
  #lingering: Lingering | undefined;

  constructor(
    transport: Transport,
    peer: Peer,
    chain: ChainLookup,
    environment: Environment,
    onClosed: (connection: HttpDownstream) => void,
  ) {
    super();
    this.transport = transport;
    this.peer = peer;
    this.environment = environment;
    this.since = environment.now();
    this.#chain = chain;
    this.#onClosed = onClosed;
  }

  get state(): State {
    return this.#state;
  }

  // ---- Reader ----------------------------------------------------------------------------------

  onBytes(bytes: Buffer, length: number): void {
    switch (this.#state) {
      case "idle":
      case "head":
        this.#read(bytes, 0, length);
        return;
      case "exchange": {
        const at = this.#readBody(bytes, 0, length);
        if (at < length) this.#hold(bytes, at, length);
        return;
      }
      case "rest":
        this.#skip(bytes, length);
        return;
      case "lingering":
      case "tunnel":
      case "closed":
        return;
    }
  }

  onEnd(): void {
    this.#hasEnded = true;
    switch (this.#state) {
      case "exchange":
        this.isLastAnswer ||= this.#ahead === undefined;
        this.#part();
        return;
      default:
        this.transport.close();
    }
  }

  /** Half a request will never be whole; a whole one still gets an answer that comes soon. */
  #part(): void {
    this.#parting = new Parting(this.environment.now());
    const exchange = this.exchange;
    if (exchange === undefined || exchange.isRequestDone) return;
    exchange.onDownstreamClosed();
    this.#destroy();
  }

  onDrain(): void {
    this.exchange?.upstream?.resume();
  }

  onClose(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    const exchange = this.exchange;
    this.exchange = undefined;
    this.#heads.drop();
    this.#ahead = undefined;
    if (this.#holdOff !== undefined) this.environment.wheel.cancel(this.#holdOff);
    exchange?.onDownstreamClosed();
    this.#onClosed(this);
  }

  // ---- requests --------------------------------------------------------------------------------

  #read(bytes: Buffer, from: number, end: number): void {
    let at = from;
    this.#isReading = true;
    while (at < end && this.#mayRead()) {
      const head = this.#heads.read(bytes, at, end);
      if (head === undefined) {
        this.#waitForHead();
        break;
      }
      const pieces = this.#heads.takePieces();
      if (pieces === undefined) at = this.#dispatch(head, bytes, at, end);
      else {
        // They have all of `bytes`; what their request did not need lies at the end of both.
        const used = this.#dispatch(head, pieces.bytes, 0, pieces.length);
        at = end - (pieces.length - used);
      }
    }
    this.#isReading = false;
    if (this.#hasEnded && this.#state === "head") this.transport.close();
    const isWaiting = this.#state === "exchange" || this.#holdOff !== undefined;
    if (isWaiting && at < end) this.#hold(bytes, at, end);
  }

  #mayRead(): boolean {
    return (this.#state === "idle" && this.#holdOff === undefined) || this.#state === "head";
  }

  /** What has come of a head is not all of it, or is none. */
  #waitForHead(): void {
    const { problem } = this.#heads;
    if (problem !== undefined) this.#refuse(problem);
    else if (this.#state === "idle") {
      this.#state = "head";
      this.since = this.environment.now();
    }
  }

  /** Hands on a complete head at `bytes[base …]`, with as much of its body as is there. Answers where its bytes end. */
  #dispatch(head: HeadParser, bytes: Buffer, base: number, end: number): number {
    const bodyStart = base + head.headEnd;
    this.#body.begin(requestFraming(head));
    const bodyEnd = this.#body.advance(bytes, bodyStart, end);
    const isLast = this.#hasEnded && bodyEnd === end; // TLS may tell of the end while more waits
    this.beginAnswer(head.closes || isLast || this.environment.isDraining);
    if (this.#body.problem !== undefined) {
      this.#refuse(this.#body.problem);
      return bodyEnd;
    }
    const text = bytes.toString("latin1", base, bodyStart);
    const method = text.slice(head.lineStart, head.methodEnd);
    const target = parseTarget(text.slice(head.targetStart, head.targetEnd), method);
    // Envoy's default: HTTP/1.0 has no Host to route by, and no chunks to answer with.
    if (head.minor === 0 || target === undefined) {
      this.#refuseWith(head.minor === 0 ? 426 : method === "CONNECT" ? 405 : 400);
      return bodyEnd;
    }
    const host = fieldValue(head, text, head.fieldAt(mark.host));
    const introduction = head.fieldAt(ownMark.peer);
    if (introduction >= 0) introducePeer(this.peer, fieldValue(head, text, introduction));

    const current = this.#chain();
    if (current === undefined) this.isLastAnswer = true; // the chain is gone: this request is the last under its rules
    const chain = current ?? this.#lastChain;
    if (chain === undefined) {
      this.transport.close();
      return bodyEnd;
    }
    this.#lastChain = chain;

    const exchange = new Exchange(this, head, text, target, host, this.environment.now());
    this.exchange = exchange;
    this.#parting = undefined;
    this.#state = "exchange";
    exchange.offerFirst(bytes, bodyStart, bodyEnd, this.#body.isDone);
    chain.handle(exchange);
    exchange.settle();
    // A filter waits (a delay, say) and will still look at fields.
    if (!exchange.isOver && exchange.outgoing === "") this.#heads.keep(head);
    if (this.#hasEnded && this.exchange === exchange) this.#part();
    return bodyEnd;
  }

  #readBody(bytes: Buffer, at: number, end: number): number {
    const exchange = this.exchange;
    if (exchange === undefined || this.#body.isDone) return at;
    const bodyEnd = this.#body.advance(bytes, at, end);
    if (this.#body.problem !== undefined) {
      // What was passed on cannot be taken back; both connections are useless now.
      exchange.flag = "DPE";
      exchange.respond(400, "DPE", "", this.#body.problem);
      return end;
    }
    exchange.onRequestBody(bytes, at, bodyEnd, this.#body.isDone);
    return bodyEnd;
  }

  /** Nobody wants the rest of the request; only behind it comes the next one. */
  #skip(bytes: Buffer, length: number): void {
    const end = this.#body.advance(bytes, 0, length);
    if (this.#body.problem === undefined && !this.#body.isDone) return;
    if (this.#body.problem !== undefined || this.isLastAnswer) {
      this.#linger();
      return;
    }
    this.#state = "idle";
    this.since = this.environment.now();
    this.#read(bytes, end, length);
  }

  #hold(bytes: Buffer, start: number, end: number): void {
    this.#ahead = keptBehind(this.#ahead, bytes, start, end);
    this.pause();
  }

  #refuse(problem: HttpProblem): void {
    this.#refuseWith(statusOf(problem));
  }

  /** Answers what is not even a request, and hangs up. */
  #refuseWith(status: number): void {
    this.writeRefusal(status);
    this.#linger();
  }

  pause(): void {
    this.transport.pause();
  }

  resume(): void {
    if (this.#ahead === undefined) this.transport.resume();
  }

  // ---- answers ---------------------------------------------------------------------------------

  /** The answer cannot be completed: the client must not take what it got for all of it. */
  breakOff(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.exchange = undefined;
    this.transport.reset();
    this.#onClosed(this);
  }

  /** The exchange is over and counted. */
  onExchangeOver(exchange: Exchange): void {
    if (this.exchange !== exchange) return;
    this.exchange = undefined;
    if (this.#state !== "exchange") return;
    if (this.isLastAnswer) {
      this.#linger();
      return;
    }
    this.since = exchange.endedAt;
    if (!this.#body.isDone) {
      this.#state = "rest";
      this.transport.resume();
      return;
    }
    this.#state = "idle";
    if (this.#holdOff === undefined) this.#goOn();
  }

  /** Reads the next request. */
  #goOn(): void {
    const ahead = this.#ahead;
    if (ahead !== undefined && !this.#isReading) {
      this.#ahead = undefined;
      this.transport.resume();
      this.#read(ahead, 0, ahead.length);
    } else if (ahead === undefined) this.transport.resume();
  }

  holdOff(ms: number): void {
    if (ms < leastHoldOffMs || this.#holdOff !== undefined) return;
    this.pause();
    this.#holdOff = new Timeout(() => {
      this.#holdOff = undefined;
      if (this.#state === "idle") this.#goOn();
    });
    this.environment.wheel.arm(this.#holdOff, ms);
  }

  get heldBytes(): number {
    return (
      this.transport.queuedBytes +
      this.#heads.heldBytes +
      (this.#ahead?.length ?? 0) +
      (this.exchange?.heldBytes ?? 0) +
      (this.#joined?.queuedBytes ?? 0)
    );
  }

  /** Writes the 101; from here on the connection is a tunnel's. */
  switchProtocols(exchange: Exchange, head: Head, text: string, upstream: TunnelEnd): Switched {
    this.writeSwitching(exchange, head, text);
    this.#state = "tunnel";
    this.#joined = upstream;
    this.exchange = undefined;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return {
      transport: this.transport,
      ahead,
      hasEnded: this.#hasEnded, // a whole request still gets its answer
      onTunnelClosed: () => this.#onTunnelClosed(),
    };
  }

  /** The tunnel that this connection became is closed. */
  #onTunnelClosed(): void {
    if (this.#state !== "tunnel") return;
    this.#state = "closed";
    this.#onClosed(this);
  }

  // ---- endings ---------------------------------------------------------------------------------

  /** Closes when there is nothing under way; otherwise the answer under way is the last. */
  drain(): void {
    this.isLastAnswer = true;
    if (this.#state === "idle") this.transport.close();
  }

  /** Its next answer says that it is the last; see `isDraining`. */
  retire(): void {}

  /** Closes whatever is under way. */
  destroy(): void {
    this.transport.destroy();
  }

  /** Called now and then: closes what idles, or takes too long to say what it wants. */
  sweep(now: number): void {
    const { limits } = this.environment;
    const waited = now - this.since;
    if (this.#state === "head" && waited > limits.headerTimeoutMs) this.#refuseWith(408);
    else if (this.#state === "idle" && waited > limits.downstreamIdleMs) this.transport.close();
    else if (this.#state === "rest" && waited > restMs) this.#linger();
    else if (this.#lingering?.isOver(this.transport.queuedBytes, now) === true) this.#destroy();
    else if (this.#state === "exchange") this.#giveUp(now);
  }

  /** Gives up the answer of a client that waits no longer. */
  #giveUp(now: number): void {
    const exchange = this.exchange;
    if (exchange === undefined || this.transport.queuedBytes > 0) return;
    if (this.#hasEndedUnread) this.#parting ??= new Parting(now);
    if (this.#parting?.isOver(exchange, now) !== true) return;
    exchange.onDownstreamClosed();
    this.#destroy();
  }

  /** While its request, or more behind it, has to wait nothing is read, and so not its end either. */
  get #hasEndedUnread(): boolean {
    if (!this.transport.isPaused) return false;
    const descriptor = descriptorOf(this.transport.socket);
    return descriptor !== undefined && this.environment.isHungUp(descriptor);
  }

  #linger(): void {
    if (this.#state === "closed") return;
    this.#state = "lingering";
    this.#lingering = new Lingering(this.environment.now());
    this.#heads.drop();
    this.#ahead = undefined;
    if (this.#hasEnded) this.transport.close();
    else {
      this.transport.end();
      this.transport.resume();
    }
  }

  #destroy(): void {
    this.transport.reset();
  }
}

/** The timer is no finer. */
const leastHoldOffMs = 10;

/** How long a client may go on with a request that has been answered. */
const restMs = 2_000;
