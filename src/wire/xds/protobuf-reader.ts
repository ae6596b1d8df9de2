/** Reads protobuf's primitives. Every read that would leave the buffer throws RangeError and says so. */

import { decodeUtf8 } from "../../base/utf8.ts";

export class Reader {
  position = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Unsigned; beyond 2^53 the value is inexact, as nothing in xDS goes there. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.#byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw new RangeError("varint is longer than ten bytes");
  }

  /** Two's complement of 64 bits: what int32, int64 and enums travel as. */
  signedVarint(): number {
    const start = this.position;
    const value = this.varint();
    if (this.position - start < 10) return value;
    this.position = start;
    let exact = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#byte();
      exact |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, exact));
    }
  }

  double(): number {
    const start = this.#advance(8);
    const { buffer, byteOffset } = this.#bytes;
    return new DataView(buffer, byteOffset + start, 8).getFloat64(0, true);
  }

  /** Reads a length and returns the position at which that many bytes end. */
  lengthDelimited(): number {
    const end = this.varint() + this.position;
    if (end > this.#bytes.length) {
      throw new RangeError(`truncated at byte ${this.#bytes.length}, want ${end}`);
    }
    return end;
  }

  /** A copy: the message may be read from a buffer that is used again. */
  bytes(): Uint8Array {
    const end = this.lengthDelimited();
    const value = this.#bytes.slice(this.position, end);
    this.position = end;
    return value;
  }

  string(): string {
    const start = this.position;
    const end = this.lengthDelimited();
    let text = "";
    for (let index = this.position; index < end; index++) {
      const code = this.#bytes[index] ?? 0;
      if (code > 127) {
        this.position = start;
        return this.#utf8();
      }
      text += String.fromCharCode(code);
    }
    this.position = end;
    return text;
  }

  skip(wireType: number): void {
    switch (wireType) {
      case 0:
        this.varint();
        break;
      case 1:
        this.#advance(8);
        break;
      case 2:
        this.position = this.lengthDelimited();
        break;
      case 5:
        this.#advance(4);
        break;
      default:
        throw new RangeError(`unknown wire type ${wireType}`);
    }
  }

  #utf8(): string {
    const start = this.position;
    try {
      return decodeUtf8(this.bytes());
    } catch {
      throw new RangeError(`invalid UTF-8 at byte ${start}`);
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.position];
    if (byte === undefined) throw new RangeError(`truncated at byte ${this.position}`);
    this.position++;
    return byte;
  }

  #advance(count: number): number {
    const start = this.position;
    if (start + count > this.#bytes.length) throw new RangeError(`truncated at byte ${start}`);
    this.position = start + count;
    return start;
  }
}
