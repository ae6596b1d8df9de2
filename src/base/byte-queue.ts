/**
 * Bytes that wait, first in, first out, copied together: in whatever small pieces they come, what is kept is at most
 * about twice as large as they are. An object a piece would let a peer that sends single bytes have a hundred times as
 * much kept as any limit in bytes says.
 *
 * Not here: how many bytes may wait.
 */

/** Blocks grow up to it; a larger piece has one to itself. */
const blockBytes = 16 * 1024;

export class ByteQueue {
  length = 0;
  #blocks: Uint8Array[] = [];
  /** Where the bytes begin in the first block, and where they end in the last one. */
  #start = 0;
  #end = 0;

  /** Copies `bytes[start, end)`. */
  push(bytes: Uint8Array, start: number, end: number): void {
    const last = this.#blocks.at(-1);
    const fits = last === undefined ? 0 : Math.min(last.length - this.#end, end - start);
    if (last !== undefined && fits > 0) {
      last.set(bytes.subarray(start, start + fits), this.#end);
      this.#end += fits;
    }
    const rest = end - start - fits;
    if (rest > 0) {
      const block = new Uint8Array(Math.max(rest, Math.min(this.length, blockBytes)));
      block.set(bytes.subarray(start + fits, end));
      this.#blocks.push(block);
      this.#end = rest;
    }
    this.length += end - start;
  }

  /** Up to `most` of the first bytes, where they are kept. Empty only where nothing waits. */
  first(most: number): Uint8Array {
    const [block] = this.#blocks;
    if (block === undefined) return nothing;
    const end = this.#blocks.length === 1 ? this.#end : block.length;
    return block.subarray(this.#start, Math.min(end, this.#start + most));
  }

  /** Takes out so many bytes of those that `first` gave. */
  drop(count: number): void {
    this.length -= count;
    this.#start += count;
    if (this.length === 0) this.clear();
    else if (this.#start === this.#blocks[0]?.length) {
      this.#blocks.shift();
      this.#start = 0;
    }
  }

  /** All of them, in one piece. */
  bytes(): Uint8Array {
    if (this.#blocks.length === 1) return this.first(this.length);
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const [index, block] of this.#blocks.entries()) {
      const isLast = index === this.#blocks.length - 1;
      const part = block.subarray(index === 0 ? this.#start : 0, isLast ? this.#end : undefined);
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  /** The same bytes in a queue of its own; the memory is shared. */
  copy(): ByteQueue {
    const copy = new ByteQueue();
    copy.length = this.length;
    copy.#blocks = this.#blocks.slice();
    copy.#start = this.#start;
    copy.#end = this.#end;
    const last = copy.#blocks.pop();
    if (last !== undefined) copy.#blocks.push(last.subarray(0, this.#end)); // what follows has no room there
    return copy;
  }

  clear(): void {
    this.#blocks = [];
    this.length = this.#start = this.#end = 0;
  }
}

const nothing = new Uint8Array(0);
