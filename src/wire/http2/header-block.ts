/**
 * A header block on its way in: in place when one frame holds it all, otherwise put together from its parts.
 *
 * Both the bytes and the number of parts are bounded: CONTINUATION frames without end are a flood like any other
 * (CVE-2024-27316 and its kin).
 */

/** Compressed; more than any head within our limits takes, so that too large ones can still be answered. */
const maxBlockBytes = 96 * 1024;
const maxParts = 32;

const nothing = new Uint8Array(0);

export class HeaderBlock {
  /** The stream whose block is incomplete; 0: none. */
  streamId = 0;
  /** HEADERS had END_STREAM. */
  isEnd = false;
  bytes: Uint8Array = nothing;
  start = 0;
  end = 0;
  #parts = 0;

  begin(streamId: number, isEnd: boolean): void {
    this.streamId = streamId;
    this.isEnd = isEnd;
    this.bytes = nothing;
    this.start = this.end = this.#parts = 0;
  }

  /** Takes in one part; a first part that is also the last stays where it is. False: too much. */
  add(bytes: Uint8Array, start: number, end: number, isLast: boolean): boolean {
    this.#parts++;
    if (this.#parts === 1 && isLast) {
      this.bytes = bytes;
      this.start = start;
      this.end = end;
      return true;
    }
    const length = this.end + end - start;
    if (length > maxBlockBytes || this.#parts > maxParts) return false;
    if (length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.bytes.length));
      larger.set(this.bytes.subarray(0, this.end));
      this.bytes = larger;
    }
    this.bytes.set(bytes.subarray(start, end), this.end);
    this.end = length;
    return true;
  }

  /** The bytes are not needed any more. */
  release(): void {
    this.bytes = nothing;
  }
}
