/**
 * How long an endpoint keeps connections that nobody uses, so that we are the one who closes them: a request that meets
 * the endpoint's close is lost, and only one that may run twice can be sent again.
 *
 * Servers say it (`Keep-Alive: timeout=5`; Node and Apache do), or it is learnt: two closes at different times after
 * about the same wait are a timer's; a restart closes connections of all ages, at one time.
 */

/** Closes so much alike are by the same timer. */
const likeness = 0.1;
/** What a request may take from being given the connection to being read: a tenth of the life, between these. */
const leastMarginMs = 500;
const marginShare = 0.1;

export class IdleLife {
  /** How long a connection may have waited to be used still. */
  usableMs: number = Infinity;
  #announcedMs = Infinity;
  #learntMs = Infinity;
  #last: { readonly idleMs: number; readonly at: number } | undefined;

  /** The value of a `Keep-Alive` field. */
  announce(value: string): void {
    const seconds = /(?:^|[,\s])timeout\s*=\s*"?(\d{1,6})/i.exec(value)?.[1];
    if (seconds === undefined) return;
    this.#announcedMs = Number(seconds) * 1_000;
    this.#settle();
  }

  /** The endpoint closed a connection that had waited so long. `at`: monotonic ms. */
  noteClose(idleMs: number, at: number): void {
    const last = this.#last;
    this.#last = { idleMs, at };
    if (last === undefined) return;
    const shorter = Math.min(last.idleMs, idleMs);
    const isAlike = Math.abs(last.idleMs - idleMs) <= likeness * shorter;
    const isLater = at - last.at > likeness * shorter;
    if (!isAlike || !isLater) return;
    this.#learntMs = shorter;
    this.#settle();
  }

  #settle(): void {
    const life = Math.min(this.#announcedMs, this.#learntMs);
    const margin = Math.min(Math.max(leastMarginMs, life * marginShare), life / 2);
    this.usableMs = life - margin;
  }
}
