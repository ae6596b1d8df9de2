/**
 * The line that gives a request its identity, `x-request-id: ` and a random UUID (RFC 9562 §5.4).
 *
 * Many are made at a time, as one string of which each request gets a slice: a UUID by itself is put together from
 * twenty strings, which the write that follows puts together again.
 */

import { randomFillSync } from "node:crypto";

const linesAtOnce = 64; // a string of 3.3 kB, of which the last request that has a slice holds all

const shape = Buffer.from("x-request-id: 00000000-0000-4000-8000-000000000000\r\n", "latin1");
const digits = Buffer.from("0123456789abcdef", "latin1");
const randomBytes = Buffer.allocUnsafeSlow(linesAtOnce * 16);
const text = Buffer.allocUnsafeSlow(linesAtOnce * shape.length);
/** Where in a line the two digits of each random byte stand. */
const places: readonly number[] = [...shape.toString("latin1").matchAll(/[0-9a-f]{2}/g)]
  .map(({ index }) => index)
  .filter((index) => index >= "x-request-id: ".length);

let lines = "";
let next = 0;

/** Complete, with its CRLF. */
export function newRequestIdLine(): string {
  if (next === lines.length) refill();
  const line = lines.slice(next, next + shape.length);
  next += shape.length;
  return line;
}

function refill(): void {
  randomFillSync(randomBytes);
  for (let line = 0; line < linesAtOnce; line++) writeLine(line * shape.length, line * 16);
  lines = text.toString("latin1");
  next = 0;
}

function writeLine(start: number, random: number): void {
  text.set(shape, start);
  for (let i = 0; i < places.length; i++) {
    const at = start + (places[i] ?? 0);
    let byte = randomBytes[random + i] ?? 0;
    if (i === 6) byte = (byte & 0x0f) | 0x40; // version 4
    if (i === 8) byte = (byte & 0x3f) | 0x80; // the variant of RFC 9562
    text[at] = digits[byte >> 4] ?? 0;
    text[at + 1] = digits[byte & 0x0f] ?? 0;
  }
}
