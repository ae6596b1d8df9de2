/**
 * What an exchange asks of the two sides it joins, whatever protocol each speaks.
 *
 * A leg is a connection of HTTP/1.1 while it carries the exchange, or a stream of HTTP/2. Bodies travel between legs as
 * they arrived: bare, or in the chunks of HTTP/1.1 (`exchange.isChunked` for the request, `head.isChunked` for the
 * answer); a leg whose protocol has another form translates.
 */

import type { Environment } from "../environment.ts";
import type { Peer } from "../peer.ts";
import type { TunnelEnd } from "../tcp/tunnel-end.ts";
import type { Exchange } from "./exchange.ts";
import type { Head } from "./head.ts";

export interface DownstreamLeg {
  readonly peer: Peer;
  readonly environment: Environment;
  /** In which form requests come. */
  readonly protocol: "HTTP/1.1" | "HTTP/2";
  /** It wants a small body as text, behind its head's: `text` of `writeResponse` is longer than the head then. */
  readonly joinsBodies: boolean;
  /** Stops the request's body, for as long as it can be stopped; `resume` lets it go on. */
  pause(): void;
  resume(): void;
  /** The client is not to be listened to for so long, where it has a connection of its own. */
  holdOff(ms: number): void;
  /** An answer from here, not from upstream. `fields`: further lines. */
  writeLocal(exchange: Exchange, status: number, body: string, fields: string): void;
  writeInterim(head: Head, text: string): void;
  writeResponse(
    exchange: Exchange,
    head: Head,
    text: string,
    bytes: Buffer,
    start: number,
    end: number,
    isDone: boolean,
  ): void;
  writeResponseBody(exchange: Exchange, bytes: Buffer, start: number, end: number): void;
  /** The answer is complete. `trailers`: lines in HTTP/2's form, beyond those that are in chunks already. */
  writeResponseEnd(exchange: Exchange, trailers: string): void;
  /**
   * The answer cannot be completed: the client must not take what it got for all of it. `isCancelled`: nobody was to
   * wait for it any more.
   */
  breakOff(isCancelled: boolean): void;
  /** The exchange is over and counted. */
  onExchangeOver(exchange: Exchange): void;
  /** Gives the connection to another protocol; undefined where that cannot be. */
  switchProtocols(
    exchange: Exchange,
    head: Head,
    text: string,
    upstream: TunnelEnd,
  ): Switched | undefined;
}

/** The client's side of a tunnel. */
export interface Switched {
  readonly transport: TunnelEnd;
  /** What the client sent ahead. */
  readonly ahead: Buffer | undefined;
  /** It sends nothing more. */
  readonly hasEnded: boolean;
  onTunnelClosed(): void;
}

/** The endpoint's side of a tunnel. */
export interface Upgraded {
  readonly transport: TunnelEnd;
  onTunnelClosed(): void;
}

export interface UpstreamLeg {
  /** The connection is not new: the peer may have closed it just as we took it. */
  readonly isReused: boolean;
  /** The answer's body comes bare and without a length: only its end says where it ends. */
  readonly isOpenEnded: boolean;
  /** The answer's lines are in HTTP/2's form. */
  readonly isHttp2: boolean;
  /** Bytes of this exchange that wait to be sent; of a connection that others share, only its own. */
  readonly queuedBytes: number;
  /** More is waiting to be sent than should be. */
  readonly isBackedUp: boolean;
  /** Sends the exchange's head, and what there is of its body. */
  sendRequest(
    exchange: Exchange,
    body: Buffer | undefined,
    start: number,
    end: number,
    isDone: boolean,
  ): void;
  /** `trailers`: as in `writeResponseEnd`. */
  sendBody(bytes: Buffer, start: number, end: number, isDone: boolean, trailers: string): void;
  /** Stops the answer's body, for as long as it can be stopped. */
  pause(): void;
  resume(): void;
  /** The exchange is not interested any more. */
  abandon(): void;
}
