/**
 * How long a client that has ended its side is still answered.
 *
 * One that closes looks, until something is written to it, like one that only has nothing more to say. So it has a moment
 * for its answer to begin, and a longer one for each next part: an event stream without events would otherwise stay, with
 * its request and its endpoint's connection, for ever with whoever has left. So would an upload to an endpoint that has
 * stopped reading.
 */

import type { Exchange } from "../stack/exchange.ts";

/**
 * Some end their side with their request (BusyBox's wget); of the others, who are gone, nothing must pile up in front of an
 * application that does not answer.
 */
const beginMs = 1_000;
const goOnMs = 5_000;

export class Parting {
  /** When it ended its side, or more was last found to have gone either way since. */
  #since: number;
  /** Bytes of request and answer at the last look. */
  #movedBefore = 0;

  constructor(now: number) {
    this.#since = now;
  }

  /** Whether its exchange is to be given up. Called now and then, while nothing waits for it to read. */
  isOver(exchange: Exchange, now: number): boolean {
    const { hasResponse, isRequestDone, requestBytes, responseBytes } = exchange;
    const moved = requestBytes + responseBytes;
    if (moved !== this.#movedBefore) {
      this.#movedBefore = moved;
      this.#since = now;
    }
    return now - this.#since >= (hasResponse || !isRequestDone ? goOnMs : beginMs);
  }
}
