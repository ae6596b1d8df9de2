/**
 * What a field of HTTP/2 is, and whether it may be (RFC 9113 §8.2, §8.3). Judged once per table entry: the verdict is
 * the field's note.
 *
 * Stricter than the letter, because what is passed here may go on as a line of HTTP/1.1: names are tokens, values hold
 * no control bytes, paths no spaces, methods are tokens.
 */

import type { Field } from "../hpack/static-table.ts";
import { targetByte, tokenByte, valueByte } from "../http1/chars.ts";
import { mark } from "../http1/field-names.ts";

// The lower four bits of a note. Pseudo-header fields first, then what must be known of ordinary ones; 0 is "not judged
// yet". Above them stands the mark that the reader's vocabulary gives the name.
export const NOTE_BAD = 1;
export const NOTE_METHOD = 2;
export const NOTE_SCHEME = 3;
export const NOTE_AUTHORITY = 4;
export const NOTE_PATH = 5;
export const NOTE_STATUS = 6;
export const NOTE_HOST = 7;
export const NOTE_COOKIE = 8;
export const NOTE_CONTENT_LENGTH = 9;
export const NOTE_ORDINARY = 10;
export const NOTE_PROTOCOL = 11;

export const noteMask = 0xf;
export const markShift = 4;

/** `marks`: numbers that a reader of heads knows some names by. */
export function noteOf(field: Field, marks: ReadonlyMap<string, number>): number {
  if (field.note === 0) {
    field.note = judge(field.name, field.value) | (markOf(field.name, marks) << markShift);
  }
  return field.note;
}

/** As in HTTP/1.1 a watched name with `_` for `-` is a disguise (http1/field-names.ts). */
function markOf(name: string, marks: ReadonlyMap<string, number>): number {
  const known = marks.get(name);
  if (known !== undefined || !name.includes("_")) return known ?? mark.none;
  return marks.has(name.replaceAll("_", "-")) ? mark.disguised : mark.none;
}

function judge(name: string, value: string): number {
  if (!isValue(value)) return NOTE_BAD;
  if (name.charCodeAt(0) === 58) return judgePseudo(name, value);
  if (!isLowerToken(name)) return NOTE_BAD;
  switch (name) {
    case "connection":
    case "proxy-connection":
    case "keep-alive":
    case "transfer-encoding":
    case "upgrade":
      return NOTE_BAD; // RFC 9113 §8.2.2: they are about a connection of HTTP/1.1
    case "te":
      return value === "trailers" ? NOTE_ORDINARY : NOTE_BAD;
    case "host":
      return isAuthority(value) ? NOTE_HOST : NOTE_BAD;
    case "cookie":
      return NOTE_COOKIE;
    case "content-length":
      return /^[0-9]{1,15}$/.test(value) ? NOTE_CONTENT_LENGTH : NOTE_BAD;
    default:
      return NOTE_ORDINARY;
  }
}

function judgePseudo(name: string, value: string): number {
  switch (name) {
    case ":method":
      return value !== "" && all(value, tokenByte) ? NOTE_METHOD : NOTE_BAD;
    case ":scheme":
      return /^[a-zA-Z][a-zA-Z0-9+.-]*$/.test(value) ? NOTE_SCHEME : NOTE_BAD;
    case ":authority":
      return isAuthority(value) ? NOTE_AUTHORITY : NOTE_BAD;
    case ":path":
      return isPath(value) ? NOTE_PATH : NOTE_BAD;
    case ":protocol": // RFC 8441 §4
      return value !== "" && all(value, tokenByte) ? NOTE_PROTOCOL : NOTE_BAD;
    case ":status":
      return /^[1-9][0-9][0-9]$/.test(value) ? NOTE_STATUS : NOTE_BAD;
    default:
      return NOTE_BAD;
  }
}

function isPath(value: string): boolean {
  if (value === "*") return true;
  return value.charCodeAt(0) === 47 && all(value, targetByte);
}

/** As Host in HTTP/1.1 (http1/field-values.ts). */
function isAuthority(value: string): boolean {
  return /^(?:[\w.~!$&'()*+;=%-]+|\[[\w.~!$&'()*+;=:-]+\])(?::\d{0,5})?$/.test(value);
}

function isLowerToken(name: string): boolean {
  return name !== "" && all(name, tokenByte) && !/[A-Z]/.test(name);
}

function isValue(value: string): boolean {
  const { length } = value;
  if (length === 0) return true;
  return (
    !isBlank(value.charCodeAt(0)) && !isBlank(value.charCodeAt(length - 1)) && all(value, valueByte)
  );
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function all(text: string, table: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (table[text.charCodeAt(i)] !== 1) return false;
  return true;
}
