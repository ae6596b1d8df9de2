/**
 * What a client speaks, by its first bytes: TLS, HTTP/1.1, HTTP/2 without TLS, or something else.
 *
 * HTTP/1.1 is a method, a space and the beginning of a target. Protocols whose commands look like words (Redis, SMTP,
 * memcached) either have no space there or nothing after it that could begin a target.
 */

import { tokenByte } from "../../wire/http1/chars.ts";

export type Detected = "tls" | "http/1.1" | "h2c" | "other";

const http2Preface = "PRI * HTTP/2.0";
const longestMethod = 24;

/** Undefined: more bytes are needed to tell. */
export function detect(bytes: Buffer): Detected | undefined {
  const first = bytes[0];
  if (first === undefined) return undefined;
  if (first === 0x16) return "tls";
  if (first === 80 /* P */) {
    const seen = bytes.toString("latin1", 0, http2Preface.length);
    if (seen === http2Preface) return "h2c";
    if (http2Preface.startsWith(seen)) return undefined;
  }
  let at = 0;
  while (at < bytes.length && at <= longestMethod && isMethodByte(bytes[at] ?? 0)) at++;
  if (at > longestMethod) return "other";
  if (at === bytes.length) return undefined;
  if (at === 0 || bytes[at] !== 32) return "other";
  if (bytes.toString("latin1", 0, at) === "CONNECT") return "http/1.1";
  const target = bytes[at + 1];
  if (target === undefined) return undefined;
  const beginsTarget =
    target === 47 /* / */ || target === 42 /* * */ || (target | 32) === 104; /* h */
  return beginsTarget ? "http/1.1" : "other";
}

/** Registered methods are upper case; accepting all token bytes would take `get key` of memcached for one. */
function isMethodByte(byte: number): boolean {
  return tokenByte[byte] === 1 && !(byte >= 97 && byte <= 122);
}
