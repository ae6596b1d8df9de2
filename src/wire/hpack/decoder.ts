/**
 * Reads header blocks (RFC 7541 §3): one decoder per direction of a connection, since its table is the connection's
 * memory.
 *
 * A block is decoded whole or the connection is lost: a problem leaves the table unlike the peer's. Fields are handed
 * to a sink one by one, which may stop caring (too many, too long) while decoding goes on. A field that comes out of a
 * table is always the same object, so what was found out about it is found out once.
 *
 * The work is linear in the block's bytes, and memory is bounded by the table's limit and the longest string in a
 * block.
 */

import { decodeHuffman, maxDecodedBytes } from "./huffman.ts";
import { entryOverhead, Field, staticCount, staticFields } from "./static-table.ts";

export interface FieldSink {
  take(field: Field): void;
}

/** Bytes as text, one character each. Shells hand in something faster than the default. */
export type ReadText = (bytes: Uint8Array, start: number, end: number) => string;

function latin1Text(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end; at++) text += String.fromCharCode(bytes[at] ?? 0);
  return text;
}

export type HpackProblem =
  | "index-out-of-range"
  | "integer-too-large"
  | "bad-huffman-code"
  | "block-cut"
  | "size-update-misplaced"
  | "size-update-too-large";

/** RFC 9113 §6.5.2: what a table may take until somebody says otherwise. */
export const defaultTableBytes = 4096;

const maxInteger = 2 ** 28; // no index, length or size is ever near it

export class HpackDecoder {
  readonly #readText: ReadText;
  readonly #static = staticFields();
  /** The dynamic table, oldest first; `#first` is where it begins. */
  #entries: (Field | undefined)[] = [];
  #first = 0;
  #bytes = 0;
  #maxBytes: number;
  #limit: number;
  #problem: HpackProblem | undefined;
  /** Where the last integer or string ended. */
  #at = 0;
  #scratch = new Uint8Array(256);

  /** `limit`: the table size that we announced. */
  constructor(limit: number = defaultTableBytes, readText: ReadText = latin1Text) {
    this.#limit = limit;
    this.#maxBytes = Math.min(limit, defaultTableBytes);
    this.#readText = readText;
  }

  /** We announced another size; the peer's next block says what it makes of it. */
  setLimit(bytes: number): void {
    this.#limit = bytes;
    if (this.#maxBytes > bytes) this.#resize(bytes);
  }

  get tableBytes(): number {
    return this.#bytes;
  }

  /** Decodes one complete block. A problem is fatal for the connection. */
  decode(bytes: Uint8Array, start: number, end: number, sink: FieldSink): HpackProblem | undefined {
    this.#problem = undefined;
    let at = start;
    let mayResize = true;
    while (at < end) {
      const byte = bytes[at] ?? 0;
      if (byte >= 0x80) {
        const index = byte & 0x7f;
        if (index < 0x7f) this.#at = at + 1;
        else this.#readInteger(bytes, at, end, 0x7f);
        if (this.#problem !== undefined) return this.#problem;
        const field = this.#lookUp(index < 0x7f ? index : this.#integer);
        if (field === undefined) return "index-out-of-range";
        sink.take(field);
      } else if (byte >= 0x40) {
        const field = this.#readLiteral(bytes, at, end, 0x3f, false);
        if (field === undefined) return this.#problem ?? "block-cut";
        this.#insert(field);
        sink.take(field);
      } else if (byte >= 0x20) {
        // RFC 7541 §4.2: only before the first field.
        if (!mayResize) return "size-update-misplaced";
        this.#readInteger(bytes, at, end, 0x1f);
        if (this.#problem !== undefined) return this.#problem;
        if (this.#integer > this.#limit) return "size-update-too-large";
        this.#resize(this.#integer);
        at = this.#at;
        continue;
      } else {
        const field = this.#readLiteral(bytes, at, end, 0x0f, byte >= 0x10);
        if (field === undefined) return this.#problem ?? "block-cut";
        sink.take(field);
      }
      mayResize = false;
      at = this.#at;
    }
    return undefined;
  }

  // ---- representations ---------------------------------------------------------------------------

  #readLiteral(
    bytes: Uint8Array,
    from: number,
    end: number,
    mask: number,
    isSensitive: boolean,
  ): Field | undefined {
    const index = this.#readInteger(bytes, from, end, mask);
    if (this.#problem !== undefined) return undefined;
    let name: string | undefined;
    if (index === 0) name = this.#readString(bytes, end);
    else {
      name = this.#lookUp(index)?.name;
      if (name === undefined) this.#problem = "index-out-of-range";
    }
    if (name === undefined) return undefined;
    const value = this.#readString(bytes, end);
    return value === undefined ? undefined : new Field(name, value, isSensitive);
  }

  #integer = 0;

  /** RFC 7541 §5.1. The result is `#integer`, too. */
  #readInteger(bytes: Uint8Array, from: number, end: number, mask: number): number {
    let value = (bytes[from] ?? 0) & mask;
    let at = from + 1;
    if (value === mask) {
      let factor = 1;
      for (;;) {
        if (at >= end) return this.#fail("block-cut");
        const byte = bytes[at++] ?? 0;
        value += (byte & 0x7f) * factor;
        if (value > maxInteger || factor > maxInteger) return this.#fail("integer-too-large");
        if (byte < 0x80) break;
        factor *= 128;
      }
    }
    this.#at = at;
    this.#integer = value;
    return value;
  }

  /** RFC 7541 §5.2, at `#at`. */
  #readString(bytes: Uint8Array, end: number): string | undefined {
    const from = this.#at;
    if (from >= end) {
      this.#fail("block-cut");
      return undefined;
    }
    const isHuffman = (bytes[from] ?? 0) >= 0x80;
    const length = this.#readInteger(bytes, from, end, 0x7f);
    if (this.#problem !== undefined) return undefined;
    const start = this.#at;
    if (start + length > end) {
      this.#fail("block-cut");
      return undefined;
    }
    this.#at = start + length;
    if (!isHuffman) return this.#readText(bytes, start, start + length);
    const room = maxDecodedBytes(length);
    // Not kept when it is large: one long field must not cost its room for ever.
    const scratch = room > this.#scratch.length ? new Uint8Array(room) : this.#scratch;
    if (room > this.#scratch.length && room <= 4096) this.#scratch = scratch;
    const decoded = decodeHuffman(bytes, start, start + length, scratch);
    if (decoded < 0) {
      this.#fail("bad-huffman-code");
      return undefined;
    }
    return this.#readText(scratch, 0, decoded);
  }

  #fail(problem: HpackProblem): number {
    this.#problem ??= problem;
    return 0;
  }

  // ---- the table ---------------------------------------------------------------------------------

  #lookUp(index: number): Field | undefined {
    if (index <= staticCount) return index === 0 ? undefined : this.#static[index];
    const slot = this.#entries.length - (index - staticCount);
    return slot < this.#first ? undefined : this.#entries[slot];
  }

  #insert(field: Field): void {
    const size = field.name.length + field.value.length + entryOverhead;
    this.#evictTo(this.#maxBytes - size);
    if (size > this.#maxBytes) return; // RFC 7541 §4.4: it empties the table, and that is no error
    this.#entries.push(field);
    this.#bytes += size;
  }

  #resize(bytes: number): void {
    this.#maxBytes = bytes;
    this.#evictTo(bytes);
  }

  #evictTo(bytes: number): void {
    while (this.#bytes > 0 && this.#bytes > bytes) {
      const oldest = this.#entries[this.#first];
      this.#entries[this.#first++] = undefined;
      if (oldest === undefined) continue;
      this.#bytes -= oldest.name.length + oldest.value.length + entryOverhead;
    }
    // The emptied front is cut off now and then, which costs each entry one move.
    if (this.#first > 64 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }
}
