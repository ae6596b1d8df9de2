/**
 * Where in a body of gRPC one is: between messages, or in one. A prefix of five bytes stands before each: a byte of flags,
 * and the length of what follows.
 */

const prefixBytes = 5;
/** gRPC-Web's: what follows are trailers, and the last. */
const trailersFlag = 0x80;

export class MessageBounds {
  /** Of the present prefix: how many of its bytes have come, and the length as far as it is known. */
  #known = 0;
  #length = 0;
  /** Bytes of the present message that are still to come. */
  #left = 0;
  #isLast = false;

  /** Another message, or trailers, may follow here. */
  get isBetween(): boolean {
    return this.#known === 0 && this.#left === 0 && !this.#isLast;
  }

  read(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#left > 0) {
        const run = Math.min(this.#left, end - at);
        this.#left -= run;
        at += run;
      } else this.#readPrefix(bytes[at++] ?? 0);
    }
  }

  #readPrefix(byte: number): void {
    if (this.#known === 0) this.#isLast = byte >= trailersFlag;
    else this.#length = this.#length * 256 + byte;
    this.#known++;
    if (this.#known < prefixBytes) return;
    this.#left = this.#length;
    this.#known = this.#length = 0;
  }
}
