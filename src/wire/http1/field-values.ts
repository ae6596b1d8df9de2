/** Readers for the few field values that decide framing and routing; all on bytes in place. */

import { COLON, hostByte, inBrackets, SP, TAB } from "./chars.ts";
import { equalsFolded } from "./field-names.ts";

const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;

const codes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const chunked = codes("chunked");
const close = codes("close");
const keepAlive = codes("keep-alive");
const upgrade = codes("upgrade");
const hundredContinue = codes("100-continue");

/** Digits only (RFC 9110 §8.6) and exactly representable; -1 for anything else, a sign or a list included. */
export function parseLength(bytes: Uint8Array, start: number, end: number): number {
  if (start === end || end - start > 15) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < 48 || byte > 57) return -1;
    value = value * 10 + byte - 48;
  }
  return value;
}

/** Whether the value is the one coding that everybody reads the same: `chunked`. */
export function isChunkedOnly(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === chunked.length && equalsFolded(bytes, start, chunked);
}

/** The one expectation that there is (RFC 9110 §10.1.1). */
export function isContinue(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === hundredContinue.length && equalsFolded(bytes, start, hundredContinue);
}

/**
 * Host, or the authority of a target: `name`, `address` or `[address]`, and a port in digits. RFC 9110 §7.2 allows an
 * empty one, and servers refuse it all the same: it names nobody. Of a name's bytes those that RFC 3986 lets stand
 * there, but no comma: a list is two hosts to some.
 */
export function isValidHost(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  if (bytes[start] === OPEN_BRACKET) {
    while (at < end && bytes[at] !== CLOSE_BRACKET) at++;
    if (at === end || at === start + 1) return false;
    for (let i = start + 1; i < at; i++) if (inBrackets[bytes[i] ?? 0] !== 1) return false;
    at++;
  } else while (at < end && hostByte[bytes[at] ?? 0] === 1) at++;
  if (at === start) return false;
  if (at === end) return true;
  if (bytes[at] !== COLON) return false;
  for (let i = at + 1; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < 48 || byte > 57) return false;
  }
  return end - at <= 6; // a port has five digits at most; none at all is allowed
}

export interface ConnectionOptions {
  closes: boolean;
  keepsAlive: boolean;
  upgrades: boolean;
  nominates: boolean;
}

// Shared: read at once by the caller, so that a head with a Connection field costs no object.
const found: ConnectionOptions = {
  closes: false,
  keepsAlive: false,
  upgrades: false,
  nominates: false,
};

/**
 * The options of a Connection field; `onName` is told where each further one stands, which names a field. The answer is
 * overwritten by the next call.
 */
export function connectionOptions(
  bytes: Uint8Array,
  start: number,
  end: number,
  onName?: (start: number, end: number) => void,
): ConnectionOptions {
  found.closes = found.keepsAlive = found.upgrades = found.nominates = false;
  let at = start;
  while (at < end) {
    let comma = at;
    while (comma < end && bytes[comma] !== 44) comma++;
    let from = at;
    let to = comma;
    while (from < to && (bytes[from] === SP || bytes[from] === TAB)) from++;
    while (to > from && (bytes[to - 1] === SP || bytes[to - 1] === TAB)) to--;
    const length = to - from;
    if (length === close.length && equalsFolded(bytes, from, close)) found.closes = true;
    else if (length === keepAlive.length && equalsFolded(bytes, from, keepAlive)) {
      found.keepsAlive = true;
    } else if (length === upgrade.length && equalsFolded(bytes, from, upgrade)) {
      found.upgrades = true;
    } else if (length > 0) {
      found.nominates = true;
      onName?.(from, to);
    }
    at = comma + 1;
  }
  return found;
}
