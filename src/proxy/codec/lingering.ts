/**
 * How long a connection stays once our last word is written: until the client closes, for it must get to see it (RFC 9112
 * §9.6).
 *
 * What the kernel has had no room for yet is part of that word, so a client that is slow to read has as long as it goes
 * on, and what a kernel needs to let us see that: it takes more only when a third of what it holds has left.
 */

/** A round trip and a retransmission. */
const lingerMs = 2_000;
/** A third of 4 MiB, the most that Linux keeps unless told otherwise, at 25 kB/s. */
const unreadMs = 60_000;

export class Lingering {
  /** When it began, or when more was last found to have left. */
  #since: number;
  #unsentBefore = 0;

  constructor(now: number) {
    this.#since = now;
  }

  /** Whether it has been long enough. `unsentBytes`: what waits to be sent. Called now and then. */
  isOver(unsentBytes: number, now: number): boolean {
    if (unsentBytes !== this.#unsentBefore) {
      this.#unsentBefore = unsentBytes;
      this.#since = now;
    }
    return now - this.#since > (unsentBytes > 0 ? unreadMs : lingerMs);
  }
}
