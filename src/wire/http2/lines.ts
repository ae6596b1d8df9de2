/** Field lines of HTTP/1.1 as HTTP/2 may carry them. */

import type { HpackEncoder } from "../hpack/encoder.ts";
import type { Output } from "../hpack/output.ts";

/** About a connection of HTTP/1.1, or said by a pseudo-header field (RFC 9113 §8.2.2, §8.3.1). */
const notCarried: ReadonlySet<string> = new Set([
  "connection",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** Lines that came in HTTP/1.1, each with its line end, in HTTP/2's form: `name: value`, names in lower case. */
export function canonicalLines(lines: string): string {
  let out = "";
  let at = 0;
  while (at < lines.length) {
    const end = lineEnd(lines, at);
    const colon = lines.indexOf(":", at);
    if (colon > at && colon < end) {
      const name = lines.slice(at, colon).toLowerCase();
      const value = lines.slice(colon + 1, end).replace(/^[ \t]+|[ \t]+$/g, "");
      if (!notCarried.has(name)) out += `${name}: ${value}\r\n`;
    }
    at = end + 2;
  }
  return out;
}

/** Encodes lines in HTTP/2's form. `sensitive`: names whose values must not enter a table. */
export function encodeLines(
  encoder: HpackEncoder,
  out: Output,
  lines: string,
  sensitive: ReadonlySet<string> | undefined,
): void {
  let at = 0;
  while (at < lines.length) {
    const end = lineEnd(lines, at);
    const line = lines.slice(at, end);
    const isSensitive = sensitive?.has(line.slice(0, line.indexOf(":", 1))) === true;
    encoder.encodeLine(out, line, isSensitive);
    at = end + 2;
  }
}

/** The value of the line `name` (lower case) among lines in HTTP/2's form; undefined when there is none. */
export function lineValue(lines: string, name: string): string | undefined {
  const prefix = `${name}: `;
  const at = lines.startsWith(prefix) ? 0 : lines.indexOf(`\r\n${prefix}`) + 2;
  if (at === 1) return undefined;
  return lines.slice(at + prefix.length, lineEnd(lines, at));
}

function lineEnd(lines: string, at: number): number {
  const end = lines.indexOf("\r\n", at);
  return end < 0 ? lines.length : end;
}
