/**
 * What was asked, by whom, and how it came: the half of an exchange that filters match on.
 *
 * It is the head as the codec parsed it, in place, with what each request is asked for so often that it is taken out once:
 * method, authority, path. An exchange is such a request (exchange.ts extends it): matchers ask without going through
 * another object on each request's way.
 *
 * Not here: the body (request-body.ts), and what becomes of the request.
 */

import { healthCheckField } from "../../model/names.ts";
import { mark } from "../../wire/http1/field-names.ts";
import { anyFieldIs, fieldValue, findField } from "../codec/heads.ts";
import type { Target } from "../codec/target.ts";
import type { Subject } from "../config/matchers.ts";
import type { Peer } from "../peer.ts";
import type { Head } from "./head.ts";
import type { DownstreamLeg } from "./legs.ts";

export class ReceivedRequest implements Subject {
  readonly downstream: DownstreamLeg;
  readonly peer: Peer;
  readonly startedAt: number;
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
  /** It asks for a WebSocket: by Upgrade, or by an extended CONNECT of HTTP/2, which comes in the same form. */
  readonly wantsUpgrade: boolean;
  /** What a client of HTTP/1.1 wants to see answered. */
  readonly webSocketKey: string | undefined;
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
    const isHttp2 = downstream.protocol === "HTTP/2";
    this.wantsUpgrade = head.upgrades && this.method === "GET" && isWebSocket(head, text, isHttp2);
    this.webSocketKey = this.wantsUpgrade ? findField(head, text, "sec-websocket-key") : undefined;
    this.expectsContinue = head.expectsContinue;
    this.startedAt = startedAt;
    this.headBytes = head.headEnd;
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
    if (name === healthCheckField && !this.peer.isHttpSidecar) return undefined;
    return findField(this.head, this.text, name);
  }

  anyField(name: string, takes: (value: string) => boolean): boolean {
    if (name.charCodeAt(0) !== 58 && name !== "host" && name !== healthCheckField) {
      return anyFieldIs(this.head, this.text, name, takes);
    }
    const value = this.field(name);
    return value !== undefined && takes(value);
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
}

/**
 * WebSocket is the one protocol that may be switched to, as with Istio: after any other switch (h2c above all) requests
 * would go on inside the tunnel that no policy sees. An upgrade that is not taken up is an ordinary request (RFC 9110 §7.8);
 * one with a body is never taken up, since not all servers agree where that body ends and the tunnel begins.
 */
function isWebSocket(head: Head, text: string, isHttp2: boolean): boolean {
  if (head.isChunked || head.contentLength > 0) return false;
  const index = head.fieldAt(mark.upgrade);
  if (index < 0 || fieldValue(head, text, index).toLowerCase() !== "websocket") return false;
  // Without it there is no handshake (RFC 6455 §4.1); HTTP/2 has none.
  return isHttp2 || findField(head, text, "sec-websocket-key") !== undefined;
}
