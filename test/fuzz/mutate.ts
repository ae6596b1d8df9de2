/**
 * Inputs for fuzzing: seeds, cut, spliced and overwritten with what parsers of the field stumble over.
 *
 * Everything comes from one seeded generator, so a run is repeated by its seed and a found input by its number. The
 * input is written into one buffer that is used again and again: fuzzing must not measure the garbage collector.
 */

import type { Random } from "../../src/base/random.ts";

export interface Corpus {
  readonly seeds: readonly Uint8Array[];
  /** What is put in whole: tokens, lines, terminators. */
  readonly dictionary: readonly Uint8Array[];
}

const maxBytes = 4096;
const interesting = [0, 9, 10, 13, 32, 34, 44, 45, 48, 58, 59, 61, 95, 127, 128, 160, 255];

export class Mutator {
  readonly #corpus: Corpus;
  readonly #random: Random;
  readonly #bytes = new Uint8Array(maxBytes);
  #length = 0;

  constructor(corpus: Corpus, random: Random) {
    this.#corpus = corpus;
    this.#random = random;
  }

  /** The next input. It is overwritten by the one after it. */
  next(): Uint8Array {
    this.#length = 0;
    const { seeds } = this.#corpus;
    this.#insert(0, this.#one(seeds));
    if (this.#random() < 0.3) this.#insert(this.#length, this.#one(seeds));
    const edits = 1 + this.#below(4);
    for (let i = 0; i < edits; i++) this.#edit();
    return this.#bytes.subarray(0, this.#length);
  }

  #edit(): void {
    const at = this.#below(this.#length + 1);
    switch (this.#below(7)) {
      case 0:
        this.#bytes[at] = this.#below(256);
        break;
      case 1:
        this.#bytes[at] = interesting[this.#below(interesting.length)] ?? 0;
        break;
      case 2:
        this.#insert(at, Uint8Array.of(interesting[this.#below(interesting.length)] ?? 0));
        break;
      case 3:
        this.#insert(at, this.#one(this.#corpus.dictionary));
        break;
      case 4: {
        const end = Math.min(this.#length, at + 1 + this.#below(16));
        this.#bytes.copyWithin(at, end, this.#length);
        this.#length -= end - at;
        break;
      }
      case 5: {
        const piece = this.#bytes.slice(at, Math.min(this.#length, at + this.#below(40)));
        this.#insert(this.#below(this.#length + 1), piece);
        break;
      }
      default: {
        const other = this.#one(this.#corpus.seeds);
        const from = this.#below(other.length);
        this.#insert(at, other.subarray(from, from + this.#below(60)));
      }
    }
    this.#length = Math.min(this.#length, maxBytes);
  }

  #insert(at: number, piece: Uint8Array): void {
    const taken = Math.min(piece.length, maxBytes - this.#length);
    this.#bytes.copyWithin(at + taken, at, this.#length);
    this.#bytes.set(piece.subarray(0, taken), at);
    this.#length += taken;
  }

  #one(list: readonly Uint8Array[]): Uint8Array {
    return list[this.#below(list.length)] ?? new Uint8Array(0);
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}
