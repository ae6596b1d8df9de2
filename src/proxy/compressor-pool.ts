/**
 * How many answers a process compresses at a time, and how pods that share one divide that.
 *
 * A compressor takes memory (256 KiB for gzip, 1 MiB for Brotli as set here), so a process has a fixed number. A
 * sidecar may have as many as are left (the dynamic threshold of Choudhury and Hahne, with factor 1): alone it gets
 * half of them, n that want all they can get have one part in n + 1 each, and one part is always there for whoever
 * comes next.
 *
 * Not here: which answers are compressed (filter/compress.ts).
 */

/** A sidecar that is alone in its process has half of them. */
const mostOfProcess = 256;

export class CompressorPool {
  #left: number;

  constructor(size: number = mostOfProcess) {
    this.#left = size;
  }

  /** For one more sidecar in this process. */
  share(): CompressorShare {
    let own = 0;
    return {
      take: () => {
        if (own >= this.#left) return false;
        own++;
        this.#left--;
        return true;
      },
      giveBack: () => {
        own--;
        this.#left++;
      },
    };
  }
}

export interface CompressorShare {
  /** False: there is none to be had now. */
  take(): boolean;
  giveBack(): void;
}
