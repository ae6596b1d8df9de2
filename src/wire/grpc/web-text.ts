/**
 * Base64 as gRPC-Web sends it: pieces that are padded each for itself, one behind the other, cut anywhere.
 *
 * Four characters at a time are whole, so no more than three are ever kept. Strict where RFC 4648 lets readers be (§3.3,
 * §3.5): no other characters, no bits that say nothing, and padding is not left out.
 */

/** Value of a character, 255 for what is none. */
const values = new Uint8Array(256).fill(255);
for (const [value, character] of [
  ..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
].entries()) {
  values[character.charCodeAt(0)] = value;
}
const PAD = 61;

export class Base64Reader {
  /** The characters of the piece of four that is not complete, and how many there are. */
  #bits = 0;
  #count = 0;
  #padding = 0;

  /** Nothing is missing of what was begun. */
  get isWhole(): boolean {
    return this.#count === 0;
  }

  /** What `bytes[start, end)` complete; undefined: this is no base64, and nothing more can be read. */
  read(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
    const out = new Uint8Array(Math.ceil(((end - start + this.#count) * 3) / 4));
    let length = 0;
    let bits = this.#bits;
    let count = this.#count;
    let padding = this.#padding;
    for (let at = start; at < end; at++) {
      const byte = bytes[at] ?? 0;
      const value = values[byte] ?? 255;
      if (value !== 255 && padding === 0) bits = (bits << 6) | value;
      else if (byte === PAD && count >= 2) {
        padding++;
        bits <<= 6;
      } else return undefined;
      if (++count < 4) continue;
      if (padding > 0 && (bits & (padding === 1 ? 0xff : 0xffff)) !== 0) return undefined;
      out[length++] = bits >> 16;
      if (padding < 2) out[length++] = bits >> 8;
      if (padding < 1) out[length++] = bits;
      bits = count = padding = 0;
    }
    this.#bits = bits;
    this.#count = count;
    this.#padding = padding;
    return out.subarray(0, length);
  }
}
