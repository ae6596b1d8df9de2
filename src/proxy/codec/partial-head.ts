/**
 * A head that did not arrive in one read: its bytes so far, and a parser that goes on where they ended.
 *
 * The bytes grow by doubling, so a peer that sends one byte a packet costs linear work; the parser's own limit bounds
 * them. They are in memory of their own, as all that is kept for a peer (kept-bytes.ts).
 */

import type { HeadParser } from "../../wire/http1/head.ts";

const firstBytes = 4096; // nearly every head fits

export class PartialHead {
  readonly parser: HeadParser;
  #bytes: Buffer;
  #length = 0;

  /** `parser` has read `bytes[start, end)` already, and is this head's from now on. */
  constructor(parser: HeadParser, bytes: Buffer, start: number, end: number) {
    this.parser = parser;
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(firstBytes, 2 * (end - start)));
    this.#append(bytes, start, end);
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  get length(): number {
    return this.#length;
  }

  get heldBytes(): number {
    return this.#bytes.length;
  }

  /** Reads on; answers what `HeadParser.execute` does. */
  read(bytes: Buffer, start: number, end: number): boolean {
    this.#append(bytes, start, end);
    return this.parser.execute(this.#bytes, 0, this.#length);
  }

  #append(bytes: Buffer, start: number, end: number): void {
    const wanted = this.#length + end - start;
    if (wanted > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    bytes.copy(this.#bytes, this.#length, start, end);
    this.#length = wanted;
  }
}
