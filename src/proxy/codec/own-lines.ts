/**
 * What answers say of when they were made and, our own, by whom. An origin server with a clock says when, and whoever
 * passes on an answer that does not, in its place (RFC 9110 §6.6.1).
 */

import type { Environment } from "../environment.ts";
import type { Head } from "../stack/head.ts";
import { dateMark } from "./heads.ts";

/** Complete lines, in HTTP/2's form. */
export function ownLines({ epochMs }: Environment): string {
  return `${dateLine(epochMs())}server: heddle\r\n`;
}

/** What a body of our own is, where there is one and `fields` (complete lines) do not say what it is. */
export function typeLine(bodyBytes: number, fields: string): string {
  return bodyBytes === 0 || /^content-type:/im.test(fields) ? "" : "content-type: text/plain\r\n";
}

/** `fields` (complete lines) without what they say of a body's type: a call of gRPC says that itself. */
export function withoutType(fields: string): string {
  return fields.replace(/^content-type:[^\r\n]*\r\n/gim, "");
}

/** Of a head that goes on: empty where it has a date. */
export function missingDate(head: Head, { epochMs }: Environment): string {
  return head.fieldAt(dateMark) === -1 ? dateLine(epochMs()) : "";
}

let second = Number.NaN;
let line = "";

/** Written once a second. */
function dateLine(epochMs: number): string {
  const now = Math.floor(epochMs / 1000);
  if (now !== second) {
    second = now;
    line = `date: ${new Date(epochMs).toUTCString()}\r\n`;
  }
  return line;
}
