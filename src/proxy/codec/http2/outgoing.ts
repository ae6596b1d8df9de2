/** A composed request head, which is text as HTTP/1.1 has it, as HTTP/2 sends it. */

import { canonicalLines } from "../../../wire/http2/lines.ts";
import type { RequestLine } from "../../../wire/http2/sender.ts";

export interface OutgoingHead {
  readonly line: RequestLine;
  /** In HTTP/2's form, without Host. */
  readonly lines: string;
}

/** `isCanonical`: its lines came in HTTP/2, so only Host must be taken out. */
export function splitOutgoing(
  text: string,
  method: string,
  scheme: "http" | "https",
  isCanonical: boolean,
): OutgoingHead {
  const lineEnd = text.indexOf("\r\n");
  const path = text.slice(method.length + 1, lineEnd - " HTTP/1.1".length);
  const start = lineEnd + 2;
  const host = findHost(text, start, isCanonical);
  const line = { method, scheme, authority: host.value, path };
  if (!isCanonical) return { line, lines: canonicalLines(text.slice(start)) };
  const before = host.start === start ? "" : text.slice(start, host.start);
  return { line, lines: before + text.slice(host.end) };
}

interface FoundHost {
  readonly start: number;
  /** Behind its line end. */
  readonly end: number;
  readonly value: string;
}

function findHost(text: string, start: number, isCanonical: boolean): FoundHost {
  if (text.startsWith("host: ", start)) return hostAt(text, start);
  if (isCanonical) {
    const at = text.indexOf("\r\nhost: ", start - 2);
    return at < 0 ? { start, end: start, value: "" } : hostAt(text, at + 2);
  }
  const found = /\r\nhost:/i.exec(text);
  return found === null ? { start, end: start, value: "" } : hostAt(text, found.index + 2);
}

function hostAt(text: string, start: number): FoundHost {
  const end = text.indexOf("\r\n", start);
  return { start, end: end + 2, value: text.slice(start + "host:".length, end).trim() };
}
