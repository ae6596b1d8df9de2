/**
 * Bytes on their way out: one array that grows, filled from the front.
 *
 * Frames and header blocks are written straight into it, so that many small frames leave in one write. Whoever sends
 * the bytes takes them with `take`, and gives the array back with `reuse` once nobody reads it any more.
 *
 * Not here: when to send, and how much may wait (the owner's business).
 */

const firstBytes = 4 * 1024;

export class Output {
  bytes: Uint8Array;
  length = 0;
  readonly #allocate: (bytes: number) => Uint8Array;

  constructor(allocate: (bytes: number) => Uint8Array = (bytes) => new Uint8Array(bytes)) {
    this.#allocate = allocate;
    this.bytes = nothing;
  }

  /** Makes room for `more` bytes after `length`. */
  reserve(more: number): void {
    const wanted = this.length + more;
    if (wanted <= this.bytes.length) return;
    const larger = this.#allocate(Math.max(wanted, 2 * this.bytes.length, firstBytes));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  /** The caller has reserved the room. */
  put(byte: number): void {
    this.bytes[this.length++] = byte;
  }

  put32(value: number): void {
    const { bytes, length } = this;
    bytes[length] = value >>> 24;
    bytes[length + 1] = value >>> 16;
    bytes[length + 2] = value >>> 8;
    bytes[length + 3] = value;
    this.length = length + 4;
  }

  append(from: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    this.bytes.set(
      start === 0 && end === from.length ? from : from.subarray(start, end),
      this.length,
    );
    this.length += end - start;
  }

  /** Writes a string of bytes (latin1). The caller has reserved the room. */
  putText(text: string): void {
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  /** Everything written so far; this output begins anew with an array of its own. */
  take(): Uint8Array {
    const taken = this.bytes.subarray(0, this.length);
    this.bytes = nothing;
    this.length = 0;
    return taken;
  }

  /** Gives back the array of what was taken, to be written over. */
  reuse(taken: Uint8Array, whole: Uint8Array): void {
    if (this.length === 0 && taken.length <= whole.length) this.bytes = whole;
  }
}

const nothing = new Uint8Array(0);
