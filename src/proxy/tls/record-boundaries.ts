/** Where records begin and end in what arrives, by their headers alone. */

import { headerBytes } from "./calls/aead.ts";

export class RecordBoundaries {
  /** Of the present record: what has come of its header, and how much of its content has not. */
  #headerBytes = 0;
  #lengthHigh = 0;
  #contentLeft = 0;

  /** What has passed is whole records. */
  get isBetweenRecords(): boolean {
    return this.#headerBytes === 0 && this.#contentLeft === 0;
  }

  pass(bytes: Buffer, length: number): void {
    for (let at = 0; at < length; ) {
      if (this.#contentLeft > 0) {
        const passed = Math.min(this.#contentLeft, length - at);
        this.#contentLeft -= passed;
        at += passed;
      } else {
        this.#passHeader(bytes[at++] as number);
      }
    }
  }

  #passHeader(byte: number): void {
    this.#headerBytes++;
    if (this.#headerBytes === headerBytes - 1) this.#lengthHigh = byte;
    if (this.#headerBytes < headerBytes) return;
    this.#contentLeft = (this.#lengthHigh << 8) | byte;
    this.#headerBytes = 0;
  }
}
