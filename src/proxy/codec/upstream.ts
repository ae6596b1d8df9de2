/**
 * The client side of one HTTP/1.1 connection to an endpoint: requests out, answers in, one at a time.
 *
 * States: `connecting` (TLS handshake included); `idle` waits in its host's pool, still reading, so that the peer's FIN
 * takes it out at once; `busy` belongs to one exchange; `closed`. It goes back to the pool when the answer is complete,
 * the request was sent whole, and neither side said `close`; in doubt it is closed.
 */

import { BodyReader } from "../../wire/http1/body.ts";
import { responseFraming } from "../../wire/http1/framing.ts";
import type { HeadParser } from "../../wire/http1/head.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { UpstreamLeg } from "../stack/legs.ts";
import type { Failure } from "../stack/outcome.ts";
import type { Host } from "../upstream/host.ts";
import { HeadReader, SharedParser } from "./head-reader.ts";
import { findField, responseParser } from "./heads.ts";
import type { Reader, Transport } from "./transport.ts";
import { newWebSocketKey, webSocketAccept } from "./websocket-handshake.ts";
import { joinedBodyBytes } from "./write-half.ts";

const parser = new SharedParser(responseParser);

const nothing = Buffer.alloc(0);

type State = "connecting" | "idle" | "busy" | "tunnel" | "closed";

export class HttpUpstream implements Reader, UpstreamLeg {
  readonly isHttp2 = false;
  readonly transport: Transport;
  readonly host: Host;
  /** It has waited in the pool: the peer may have closed it just as it was taken. */
  isReused = false;
  /** Exchanges that it was given. */
  served = 0;
  /** When it became idle. */
  idleSince = 0;
  state: State = "connecting";
  #exchange: Exchange | undefined;
  readonly #heads = new HeadReader(parser);
  readonly #body = new BodyReader();
  #hasHead = false;
  #isRequestSent = false;
  #mayStay = false;
  #hasContinued = false;
  #isIntroduced = false;
  /** The request's body came without a length, in HTTP/2: it goes on in chunks of our making. */
  #chunks = false;

  /** Asked for a client of HTTP/2, which has none of its own. */
  #webSocketKey: string | undefined;

  /** The cluster's generation when it was opened. */
  readonly generation: number;

  constructor(host: Host, open: (reader: Reader) => Transport) {
    this.host = host;
    this.generation = host.cluster.generation;
    this.transport = open(this);
  }

  /** The field line that tells the peer's sidecar who we are; only in the first request of a mutual TLS connection. */
  #introduction(): string {
    if (this.#isIntroduced || !this.host.isOfMesh) return "";
    this.#isIntroduced = true;
    return this.host.introduction;
  }

  get isOpenEnded(): boolean {
    return this.#body.endsAtClose;
  }

  get isBackedUp(): boolean {
    return this.transport.isBackedUp;
  }

  get queuedBytes(): number {
    return this.transport.queuedBytes;
  }

  pause(): void {
    this.transport.pause();
  }

  resume(): void {
    this.transport.resume();
  }

  // ---- the request -----------------------------------------------------------------------------

  sendRequest(
    exchange: Exchange,
    body: Buffer | undefined,
    start: number,
    end: number,
    isDone: boolean,
  ): void {
    const { transport } = this;
    const isBare = isDone && start === end && exchange.requestTrailers === "";
    this.#chunks = exchange.isOpenEnded && !isBare;
    let { outgoing } = exchange;
    // It came in HTTP/2, where TE is about the message; here it would be about our connection.
    if (exchange.downstream.protocol === "HTTP/2")
      outgoing = outgoing.replace("\r\nte: trailers\r\n", "\r\n");
    if (this.#chunks) outgoing += "transfer-encoding: chunked\r\n";
    this.#webSocketKey = undefined;
    if (exchange.wantsUpgrade && exchange.downstream.protocol === "HTTP/2") {
      this.#webSocketKey = newWebSocketKey();
      const rest = outgoing.replace(/^sec-websocket-key:[^\r\n]*\r\n/gim, "");
      outgoing = `${rest}sec-websocket-key: ${this.#webSocketKey}\r\n`;
    }
    const head = `${outgoing}${this.#introduction()}\r\n`;
    if (this.#chunks) {
      transport.writeText(head);
      this.sendBody(body ?? nothing, start, end, isDone, exchange.requestTrailers);
      return;
    }
    if (body === undefined) transport.writeText(head);
    else transport.writeMessage(head, body, start, end);
    if (isDone) this.#isRequestSent = true;
  }

  sendBody(bytes: Buffer, start: number, end: number, isDone: boolean, trailers: string): void {
    if (this.#chunks) this.transport.writeChunk(bytes, start, end);
    else this.transport.writeBytes(bytes, start, end);
    if (!isDone) return;
    if (this.#chunks) this.transport.writeText(`0\r\n${trailers}\r\n`);
    this.#isRequestSent = true;
  }

  /** Gives the connection to an exchange, which writes its request now. */
  start(exchange: Exchange): void {
    this.state = "busy";
    this.served++;
    this.#exchange = exchange;
    this.#hasHead = this.#isRequestSent = this.#mayStay = this.#hasContinued = false;
    exchange.onConnection(this);
  }

  /** Nobody wants it now; somebody may soon. */
  park(): void {
    this.isReused = true;
    this.state = "idle";
    this.host.pooled.release(this, this.host.cluster.environment.now());
  }

  // ---- Reader ----------------------------------------------------------------------------------

  onBytes(bytes: Buffer, length: number): void {
    if (this.state === "busy") this.#read(bytes, 0, length);
    // An endpoint that talks without being asked would be believed to answer the next request.
    else if (this.state === "idle") this.#close();
  }

  onEnd(): void {
    if (this.state === "busy" && this.#hasHead && this.#body.endsAtClose) {
      this.#mayStay = false;
      this.#complete();
      return;
    }
    if (this.state === "busy") this.#fail("reset");
    else {
      if (this.state === "idle") this.#noteClose();
      this.#close();
    }
  }

  #noteClose(): void {
    const now = this.host.cluster.environment.now();
    this.host.idleLife.noteClose(now - this.idleSince, now);
  }

  onDrain(): void {
    this.#exchange?.onUpstreamDrain();
  }

  onClose(): void {
    if (this.state === "busy") this.#fail("reset");
    this.#close();
  }

  // ---- answers ---------------------------------------------------------------------------------

  #read(bytes: Buffer, from: number, length: number): void {
    let at = from;
    while (at < length && this.state === "busy" && !this.#hasHead) {
      const head = this.#heads.read(bytes, at, length);
      if (head === undefined) {
        if (this.#heads.problem !== undefined) this.#fail("protocol-error");
        return;
      }
      const pieces = this.#heads.takePieces();
      if (pieces === undefined) at = this.#onHead(head, bytes, at, length);
      else at = length - (pieces.length - this.#onHead(head, pieces.bytes, 0, pieces.length));
    }
    const exchange = this.#exchange;
    if (this.state !== "busy" || exchange === undefined) return;
    if (at < length && !this.#body.isDone) {
      const end = this.#body.advance(bytes, at, length);
      if (this.#body.problem !== undefined) {
        this.#fail("protocol-error");
        return;
      }
      if (end < length) this.#mayStay = false;
      exchange.onResponseBody(bytes, at, end);
    }
    if (this.#hasHead && this.#body.isDone) this.#complete();
  }

  /** A complete head at `bytes[base …]`. Answers where the bytes that were dealt with end. */
  #onHead(head: HeadParser, bytes: Buffer, base: number, length: number): number {
    const exchange = this.#exchange;
    const headEnd = base + head.headEnd;
    if (exchange === undefined) return length;
    if (head.status < 200) {
      const text = bytes.toString("latin1", base, headEnd);
      if (head.status === 101) {
        const key = this.#webSocketKey;
        const isProven =
          key === undefined ||
          findField(head, text, "sec-websocket-accept") === webSocketAccept(key);
        if (!exchange.wantsUpgrade || !isProven) {
          this.#fail("protocol-error");
          return length;
        }
        this.state = "tunnel";
        this.#exchange = undefined;
        exchange.onUpgrade(this, head, text, Buffer.from(bytes.subarray(headEnd, length)));
        return length;
      }
      if (head.status === 100) this.#hasContinued = true;
      exchange.onInterim(head, text);
      return headEnd;
    }
    this.#hasHead = true;
    this.#mayStay = head.minor === 1 ? !head.closes : head.keepsAlive && !head.closes;
    this.#body.begin(responseFraming(head, exchange.method));
    const bodyEnd = this.#body.advance(bytes, headEnd, length);
    if (this.#body.problem !== undefined) {
      this.#fail("protocol-error");
      return length;
    }
    // More than the answer: whatever it is, this connection cannot be trusted with another request.
    if (bodyEnd < length || this.#body.endsAtClose) this.#mayStay = false;
    // It answered without asking for the body: whether it reads that as a body or as a request, nobody can tell.
    if (exchange.expectsContinue && !this.#hasContinued) this.#mayStay = false;
    const isDone = this.#body.isDone;
    // A small body becomes text with its head, of which it is the rest: the answer leaves as one string, mostly this
    // very one.
    const isJoined = exchange.downstream.joinsBodies && bodyEnd - headEnd <= joinedBodyBytes;
    const text = bytes.toString("latin1", base, isJoined ? bodyEnd : headEnd);
    if (this.served === 1) this.#readKeepAlive(head, text);
    if (!exchange.onResponse(head, text, bytes, headEnd, bodyEnd, isDone)) {
      this.#giveUp(isDone);
      return length;
    }
    return bodyEnd;
  }

  #readKeepAlive(head: HeadParser, text: string): void {
    const value = findField(head, text, "keep-alive");
    if (value !== undefined) this.host.idleLife.announce(value);
  }

  #complete(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    const now = this.host.cluster.environment.now();
    // An answer that comes before the request is complete ends the conversation: the rest has nowhere to go.
    if (!this.#isRequestSent) this.#mayStay = false;
    this.#release(now);
    exchange?.onResponseDone("", now);
  }

  /** The exchange goes on elsewhere: back to the pool when the answer was whole, away with it otherwise. */
  #giveUp(isDone: boolean): void {
    this.#exchange = undefined;
    if (isDone && this.#isRequestSent) this.#release(this.host.cluster.environment.now());
    else this.#close();
  }

  #release(now: number): void {
    if (!this.#mayStay || this.transport.isDestroyed) {
      this.#close();
      return;
    }
    this.isReused = true;
    this.state = "idle";
    this.transport.resume();
    this.host.pooled.release(this, now);
  }

  #fail(failure: Failure): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#close();
    exchange?.onFailure(failure);
  }

  // ---- endings ---------------------------------------------------------------------------------

  /** The exchange is not interested any more. */
  abandon(): void {
    this.#exchange = undefined;
    this.#close();
  }

  onTunnelClosed(): void {
    this.#leave();
  }

  /** Closes the connection; whoever uses it must have been told before. */
  close(): void {
    this.#close();
  }

  #close(): void {
    if (this.state === "closed") return;
    this.#leave();
    this.transport.destroy();
  }

  #leave(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#heads.drop();
    this.host.pooled.onClosed(this);
  }
}
