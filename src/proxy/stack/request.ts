/**
 * What was asked, by whom, and how it came: the half of an exchange that filters match on.
 *
 * It is the head as the codec parsed it, in place, with what each request is asked for so often that it is taken out
 * once: method, authority, path. An exchange is such a request (exchange.ts extends it): matchers ask without going
 * through another object on each request's way.
 *
 * Not here: the body (request-body.ts), and what becomes of the request.
 */

import { isIp } from "../../base/ip.ts";
import { healthCheckField } from "../../model/names.ts";
import { mark } from "../../wire/http1/field-names.ts";
import {
  anyFieldIs,
  type DropTable,
  fieldValue,
  findField,
  proxyWords,
  requestDrops,
  upgradeRequestDrops,
} from "../codec/heads.ts";
import type { Target } from "../codec/target.ts";
import type { Subject } from "../config/matchers.ts";
import type { Peer } from "../peer.ts";
import type { Head } from "./head.ts";
import type { DownstreamLeg } from "./legs.ts";

/** What strangers may say as they like: their endpoint is told what was seen or made here, or nothing. */
export const notFromOutside: ReadonlySet<string> = new Set([
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-request-id",
  ...proxyWords,
]);

export class ReceivedRequest implements Subject {
  readonly downstream: DownstreamLeg;
  readonly peer: Peer;
  /** What its client speaks. */
  protocol: DownstreamLeg["protocol"];
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
  /** Which fields end here. Nobody decides by them either: a policy must not go by what its endpoint never sees. */
  readonly drops: DropTable;

  /** How a stranger to the mesh came, and whether it is one; see filter/edge.ts. */
  seenScheme: "http" | "https" | undefined = undefined;
  isFromOutside = false;
  /** How many proxies before this one are believed. */
  trustedProxies = 0;
  /** The line with the id that it was given here, with its CRLF; empty: it came with one, or got no further. */
  requestIdLine = "";

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
    this.protocol = downstream.protocol;
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
    this.drops = this.wantsUpgrade ? upgradeRequestDrops : requestDrops;
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

  /**
   * What its client's URL began with, while the head is in place. Inside the mesh that is what `x-forwarded-proto` says, as
   * with Envoy, which every proxy on the way wrote or believed. HTTP/2's `:scheme` is no better: sidecars send what goes
   * with the connection there.
   */
  get scheme(): "http" | "https" {
    if (this.seenScheme !== undefined) return this.seenScheme;
    const said = findField(this.head, this.text, "x-forwarded-proto", this.drops)?.toLowerCase();
    if (said === "http" || said === "https") return said;
    return this.principal === undefined ? "http" : "https";
  }

  /**
   * Where the request began, as Envoy finds it. What a proxy believes of `x-forwarded-for` is what the last ones wrote:
   * at an edge as many as are trusted, inside the mesh the gateway, which may be anybody.
   */
  get remoteAddress(): string {
    const { isFromOutside, trustedProxies, sourceAddress } = this;
    if (isFromOutside && trustedProxies === 0) return sourceAddress;
    const said = (findField(this.head, this.text, "x-forwarded-for", this.drops) ?? "").split(",");
    const address = said.at(-Math.max(1, trustedProxies))?.trim() ?? "";
    return isIp(address) ? address : sourceAddress;
  }

  get principal(): string | undefined {
    return this.peer.principal;
  }

  field(name: string): string | undefined {
    if (this.#isDerived(name)) return this.#derived(name);
    return findField(this.head, this.text, name, this.drops);
  }

  anyField(name: string, takes: (value: string) => boolean): boolean {
    if (!this.#isDerived(name)) return anyFieldIs(this.head, this.text, name, takes, this.drops);
    const value = this.#derived(name);
    return value !== undefined && takes(value);
  }

  /** It is not simply what the client wrote. */
  #isDerived(name: string): boolean {
    if (name.charCodeAt(0) === 58 || name === "host" || name === healthCheckField) return true;
    return this.isFromOutside && name.charCodeAt(0) === 120 && notFromOutside.has(name); // x
  }

  #derived(name: string): string | undefined {
    switch (name) {
      case "host":
      case ":authority":
        return this.authority;
      case ":method":
        return this.method;
      case ":path":
        return this.path + this.query;
      case ":scheme":
      case "x-forwarded-proto":
        return this.scheme;
      case "x-forwarded-for":
        return this.forwardedFor;
      case "x-envoy-external-address":
        return this.remoteAddress;
      case "x-request-id":
        return this.givenRequestId;
      case healthCheckField:
        return this.peer.isHttpSidecar ? findField(this.head, this.text, name) : undefined;
      default:
        return undefined;
    }
  }

  /** The id that it was given here; undefined: it came with one, or got no further. */
  get givenRequestId(): string | undefined {
    const line = this.requestIdLine;
    return line === "" ? undefined : line.slice("x-request-id: ".length, -2);
  }

  /** Through whom the request came, as its endpoint is told: whom the client names, and the client. */
  get forwardedFor(): string {
    const before = findField(this.head, this.text, "x-forwarded-for");
    return before === undefined ? this.sourceAddress : `${before},${this.sourceAddress}`;
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
 * would go on inside the tunnel that no policy sees. An upgrade that is not taken up is an ordinary request (RFC 9110
 * §7.8); one with a body is never taken up, since not all servers agree where that body ends and the tunnel begins.
 */
function isWebSocket(head: Head, text: string, isHttp2: boolean): boolean {
  if (head.isChunked || head.contentLength > 0) return false;
  const index = head.fieldAt(mark.upgrade);
  if (index < 0 || fieldValue(head, text, index).toLowerCase() !== "websocket") return false;
  // Without it there is no handshake (RFC 6455 §4.1); HTTP/2 has none.
  return isHttp2 || findField(head, text, "sec-websocket-key") !== undefined;
}
