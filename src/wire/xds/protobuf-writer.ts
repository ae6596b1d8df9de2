/**
 * Writes protobuf's primitives into one growing buffer.
 *
 * A nested message is written in place behind a one-byte length; only where it turns out longer than 127 bytes are its
 * bytes moved to make room. That is cheaper than measuring first: most messages of xDS are short.
 */

import { encodeUtf8 } from "../../base/utf8.ts";

export class Writer {
  #buffer = new Uint8Array(512);
  #end = 0;

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#end);
  }

  tag(number: number, wireType: number): void {
    this.varint(number * 8 + wireType);
  }

  /** Any safe integer; negative ones take ten bytes (two's complement), as protobuf says. */
  varint(value: number): void {
    this.#reserve(10);
    if (value < 0) {
      this.#negative(value);
      return;
    }
    let rest = value;
    while (rest > 127) {
      this.#buffer[this.#end++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#end++] = rest;
  }

  double(value: number): void {
    this.#reserve(8);
    new DataView(this.#buffer.buffer).setFloat64(this.#end, value, true);
    this.#end += 8;
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#end);
    this.#end += value.length;
  }

  string(value: string): void {
    const { length } = value;
    this.#reserve(length + 5);
    const start = this.#end;
    if (length < 128) {
      // Names and paths: short and ASCII. Written in place; where that proves wrong, written again below.
      const buffer = this.#buffer;
      buffer[start] = length;
      let index = 0;
      for (; index < length; index++) {
        const code = value.charCodeAt(index);
        if (code > 127) break;
        buffer[start + 1 + index] = code;
      }
      if (index === length) {
        this.#end = start + 1 + length;
        return;
      }
    }
    this.bytes(encodeUtf8(value));
  }

  /** What `write` writes, preceded by its length. */
  nested(write: () => void): void {
    this.#reserve(1);
    const start = ++this.#end;
    write();
    const length = this.#end - start;
    if (length < 128) {
      this.#buffer[start - 1] = length;
      return;
    }
    const room = length < 16_384 ? 1 : length < 2_097_152 ? 2 : length < 268_435_456 ? 3 : 4;
    this.#reserve(room);
    this.#buffer.copyWithin(start + room, start, this.#end);
    this.#end = start - 1;
    this.varint(length);
    this.#end += length;
  }

  #negative(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest > 127n) {
      this.#buffer[this.#end++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#buffer[this.#end++] = Number(rest);
  }

  #reserve(count: number): void {
    if (this.#end + count <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(this.#buffer.length * 2, this.#end + count));
    larger.set(this.#buffer.subarray(0, this.#end));
    this.#buffer = larger;
  }
}
