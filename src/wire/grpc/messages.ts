/** Messages of gRPC in the body of a request or an answer: a flag, four bytes of length, the message. */

import { ByteQueue } from "../../base/byte-queue.ts";
import { MeshError } from "../../base/error.ts";

const prefixBytes = 5;

/** A message with its prefix, not compressed. */
export function encodeMessage(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(prefixBytes + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, prefixBytes);
  return bytes;
}

/** Cuts a body into messages, wherever its pieces end. */
export class MessageReader {
  readonly #maxBytes: number;
  readonly #prefix = new Uint8Array(prefixBytes);
  #prefixLength = 0;
  #length = 0;
  #come = new ByteQueue();

  /** `maxBytes`: of one message. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes in `bytes[start, end)` and calls `onMessage` for each message that is complete with them; it may keep what it is
   * given. Throws MeshError `grpc.malformed`; nothing can be read after it.
   */
  read(
    bytes: Uint8Array,
    start: number,
    end: number,
    onMessage: (message: Uint8Array) => void,
  ): void {
    let at = start;
    while (at < end) {
      if (this.#prefixLength < prefixBytes) {
        this.#prefix[this.#prefixLength++] = bytes[at++] ?? 0;
        if (this.#prefixLength < prefixBytes) continue;
        this.#begin();
      }
      const taken = Math.min(end - at, this.#length - this.#come.length);
      this.#come.push(bytes, at, at + taken);
      at += taken;
      if (this.#come.length < this.#length) continue;
      const message = this.#come.bytes();
      this.#come = new ByteQueue();
      this.#prefixLength = 0;
      onMessage(message);
    }
  }

  #begin(): void {
    this.#length = new DataView(this.#prefix.buffer).getUint32(1);
    if (this.#prefix[0] !== 0) {
      throw new MeshError(
        "grpc.malformed",
        `message: flag ${this.#prefix[0]}, want 0 (not compressed)`,
      );
    }
    if (this.#length > this.#maxBytes) {
      throw new MeshError(
        "grpc.malformed",
        `message: ${this.#length} bytes, want at most ${this.#maxBytes}`,
      );
    }
  }
}
