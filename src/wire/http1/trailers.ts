/**
 * Which fields may not stand in a trailer section (RFC 9110 §6.5.1).
 *
 * A server that merges trailers into the head would take them for fields that routing, authorization or framing was
 * decided by, after the decision. `_` counts as `-`, as it does for such servers. In HTTP/1.1 names are gathered byte
 * by byte, since a trailer may be cut anywhere; longer ones than the longest forbidden name are not remembered.
 */

const forbidden: ReadonlySet<string> = new Set([
  // framing and connection
  "content-length",
  "transfer-encoding",
  "trailer",
  "te",
  "connection",
  "keep-alive",
  "proxy-connection",
  "upgrade",
  "expect",
  // routing and content format
  "host",
  "content-encoding",
  "content-type",
  "content-range",
  // who asks, and what proxies say of it
  "authorization",
  "proxy-authorization",
  "cookie",
  "forwarded",
  "x-forwarded-client-cert",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-heddle-peer",
  "x-request-id",
]);
const longest = Math.max(...[...forbidden].map((name) => name.length));

export class TrailerName {
  #text = "";

  begin(first: number): void {
    this.#text = "";
    this.add(first);
  }

  add(byte: number): void {
    if (this.#text.length <= longest) this.#text += String.fromCharCode(byte === 95 ? 45 : byte);
  }

  get isForbidden(): boolean {
    return forbidden.has(this.#text.toLowerCase());
  }
}

/** The same of a whole name, in lower case. */
export function isForbiddenTrailer(name: string): boolean {
  return forbidden.has(name.includes("_") ? name.replaceAll("_", "-") : name);
}
