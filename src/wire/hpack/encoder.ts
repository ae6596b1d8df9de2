/**
 * Writes header blocks (RFC 7541 §3): one encoder per direction of a connection, with the table that the peer keeps a
 * copy of.
 *
 * Fields are looked up as whole lines, `name: value`, since that is how they reach a proxy's other side; nearly all
 * fields of nearly all requests are one look-up and one or two bytes. What is not in the table goes out as text, and is
 * put in when it comes a second time: request ids, dates and the like never do, so they push nothing out, and no list
 * of their names is needed. Credentials are never put in a table (RFC 7541 §7.1.3).
 */

import { defaultTableBytes } from "./decoder.ts";
import type { Output } from "./output.ts";
import { entryOverhead, staticCount, staticFields } from "./static-table.ts";

const staticLines = new Map<string, number>();
const staticNameIndex = new Map<string, number>();
for (const [index, { name, value }] of staticFields().entries()) {
  if (index === 0) continue;
  if (!staticNameIndex.has(name)) staticNameIndex.set(name, index);
  if (value !== "") staticLines.set(`${name}: ${value}`, index);
}

const credentials: ReadonlySet<string> = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
]);

const maxTableBytes = 16 * 1024; // enough for a few hundred fields; more memory per connection would buy nothing
const rememberedLines = 64; // lines seen once
const maxRememberedLength = 512;
/** The widest integer that is written: a length below 2^28 takes a prefix and four bytes. */
const integerBytes = 6;

interface Entry {
  readonly line: string;
  readonly name: string;
  /** How many entries were put in before it. */
  readonly order: number;
  readonly bytes: number;
}

export class HpackEncoder {
  readonly #lines = new Map<string, Entry>();
  /** The newest entry of each name. */
  readonly #names = new Map<string, Entry>();
  /** Oldest first; a Map keeps the order of insertion, and its first is cheap to find and to delete. */
  readonly #entries = new Map<number, Entry>();
  readonly #seenOnce = new Set<string>();
  #order = 0;
  #bytes = 0;
  #maxBytes = defaultTableBytes;
  /** Sizes that the next block must announce: the smallest since the last block, and the one that holds now. */
  #smallestPending: number | undefined;

  get tableBytes(): number {
    return this.#bytes;
  }

  /** The peer says how much its decoder keeps. */
  setLimit(bytes: number): void {
    const size = Math.min(bytes, maxTableBytes);
    if (size === this.#maxBytes) return;
    this.#smallestPending = Math.min(size, this.#smallestPending ?? size);
    this.#maxBytes = size;
    this.#evictTo(size);
  }

  /** Must be called before the first field of each block. */
  beginBlock(out: Output): void {
    const smallest = this.#smallestPending;
    if (smallest === undefined) return;
    this.#smallestPending = undefined;
    out.reserve(2 * integerBytes);
    if (smallest < this.#maxBytes) putInteger(out, 0x20, 0x1f, smallest);
    putInteger(out, 0x20, 0x1f, this.#maxBytes);
  }

  /** Writes a field given as `name: value`, the name in lower case. */
  encodeLine(out: Output, line: string, isSensitive = false): void {
    const known = this.#lines.get(line);
    if (known !== undefined) {
      out.reserve(integerBytes);
      putInteger(out, 0x80, 0x7f, staticCount + this.#order - known.order);
      return;
    }
    const fixed = staticLines.get(line);
    if (fixed !== undefined) {
      out.reserve(1);
      out.put(0x80 | fixed);
      return;
    }
    this.#encodeLiteral(out, line, isSensitive);
  }

  #encodeLiteral(out: Output, line: string, isSensitive: boolean): void {
    const nameLength = line.indexOf(":", 1); // a pseudo-header field's name begins with one
    const name = line.slice(0, nameLength);
    const value = line.slice(nameLength + 2);
    out.reserve(line.length + 3 * integerBytes);
    const nameIndex = this.#indexOfName(name);
    const isSecret = isSensitive || credentials.has(name);
    const isIndexed = !isSecret && this.#isWorthIndexing(line, nameIndex);
    if (isIndexed) putInteger(out, 0x40, 0x3f, nameIndex);
    else putInteger(out, isSecret ? 0x10 : 0x00, 0x0f, nameIndex);
    if (nameIndex === 0) putString(out, name);
    putString(out, value);
    if (isIndexed) this.#insert(line, name);
  }

  /** A name without an index is worth an entry for its own sake; a value when it comes again. */
  #isWorthIndexing(line: string, nameIndex: number): boolean {
    if (line.length + entryOverhead > this.#maxBytes / 2) return false;
    if (nameIndex === 0 || this.#seenOnce.delete(line)) return true;
    if (line.length > maxRememberedLength) return false;
    if (this.#seenOnce.size >= rememberedLines) {
      const [oldest] = this.#seenOnce;
      if (oldest !== undefined) this.#seenOnce.delete(oldest);
    }
    this.#seenOnce.add(line);
    return false;
  }

  #indexOfName(name: string): number {
    const fixed = staticNameIndex.get(name);
    if (fixed !== undefined) return fixed;
    const entry = this.#names.get(name);
    return entry === undefined ? 0 : staticCount + this.#order - entry.order;
  }

  // ---- the table ---------------------------------------------------------------------------------

  #insert(line: string, name: string): void {
    const bytes = line.length - 2 + entryOverhead;
    this.#evictTo(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return;
    const entry: Entry = { line, name, order: this.#order++, bytes };
    this.#entries.set(entry.order, entry);
    this.#lines.set(line, entry);
    this.#names.set(name, entry);
    this.#bytes += bytes;
  }

  #evictTo(bytes: number): void {
    if (this.#bytes <= bytes) return;
    for (const entry of this.#entries.values()) {
      if (this.#bytes <= bytes) return;
      this.#entries.delete(entry.order);
      if (this.#lines.get(entry.line) === entry) this.#lines.delete(entry.line);
      if (this.#names.get(entry.name) === entry) this.#names.delete(entry.name);
      this.#bytes -= entry.bytes;
    }
  }
}

/** RFC 7541 §5.1: `pattern` holds the bits before the prefix that `mask` covers. */
function putInteger(out: Output, pattern: number, mask: number, value: number): void {
  if (value < mask) {
    out.put(pattern | value);
    return;
  }
  out.put(pattern | mask);
  let rest = value - mask;
  while (rest >= 128) {
    out.put((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  out.put(rest);
}

function putString(out: Output, text: string): void {
  putInteger(out, 0x00, 0x7f, text.length);
  out.putText(text);
}
