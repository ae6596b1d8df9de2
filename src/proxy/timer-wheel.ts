/**
 * Many timeouts, one timer.
 *
 * Arming and cancelling are a few pointer writes on an object that the caller owns, so a request with a timeout costs
 * no allocation beyond that object and no heap of Node timers. Precision is one tick; that is plenty for what a proxy
 * waits for, and a timeout is never early. The wheel turns only while something is armed, so long waits (outlier
 * ejections, idle connections) do not belong on it: they would keep an idle process awake.
 *
 * A turn comes behind what has arrived. A process that stood still (its share of a processor used up, a page read from
 * disk) finds answers and timers at once when it goes on, and Node looks at timers first: an answer that had come in
 * time would be thrown away.
 *
 * Not here: delays that must be exact (there are none on the data path).
 */

const tickMs = 10; // a per-try timeout of 50 ms may be 20 % late; nothing in a mesh is set finer
const slotCount = 512; // one turn is 5.12 s: most timeouts are armed and cancelled within one turn

/** One thing to wait for. It may be armed again after it fired or was cancelled. */
export class Timeout {
  readonly fire: () => void;
  next: Timeout | undefined = undefined;
  previous: Timeout | undefined = undefined;
  dueTick = -1;

  constructor(fire: () => void) {
    this.fire = fire;
  }

  get isArmed(): boolean {
    return this.dueTick >= 0;
  }
}

export class TimerWheel {
  readonly #now: () => number;
  readonly #slots: Timeout[] = [];
  #armed = 0;
  #tick: number;
  #interval: NodeJS.Timeout | undefined;
  #afterReads: NodeJS.Immediate | undefined;

  /** `now` is monotonic, in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#tick = this.#currentTick();
    for (let i = 0; i < slotCount; i++) {
      const head = new Timeout(() => {});
      head.next = head.previous = head;
      this.#slots.push(head);
    }
  }

  arm(timeout: Timeout, ms: number): void {
    if (timeout.isArmed) this.cancel(timeout);
    if (this.#interval === undefined) this.#start();
    // One tick more than asked, since the current one is partly over.
    const due = this.#currentTick() + Math.max(1, Math.ceil(ms / tickMs)) + 1;
    const head = this.#slots[due % slotCount];
    if (head === undefined) return;
    timeout.dueTick = due;
    timeout.next = head;
    timeout.previous = head.previous;
    if (head.previous !== undefined) head.previous.next = timeout;
    head.previous = timeout;
    this.#armed++;
  }

  cancel(timeout: Timeout): void {
    if (!timeout.isArmed) return;
    timeout.dueTick = -1;
    if (timeout.previous !== undefined) timeout.previous.next = timeout.next;
    if (timeout.next !== undefined) timeout.next.previous = timeout.previous;
    timeout.next = timeout.previous = undefined;
    this.#armed--;
  }

  /** Fires what is due by then. Called by the wheel's own timer; tests call it after moving their clock. */
  turn(now: number = this.#currentTick()): void {
    // After a long stall one turn visits every slot; more would visit them again for nothing.
    const from = Math.max(this.#tick + 1, now - slotCount + 1);
    for (let tick = from; tick <= now; tick++) {
      const head = this.#slots[tick % slotCount];
      let timeout = head?.next;
      while (timeout !== undefined && timeout !== head) {
        const following: Timeout | undefined = timeout.next;
        if (timeout.dueTick <= now) {
          this.cancel(timeout);
          timeout.fire();
          // Whatever `fire` did to the list, starting over is right: fired ones are gone from it.
          timeout = head?.next;
        } else timeout = following;
      }
    }
    this.#tick = Math.max(this.#tick, now);
    // Not when the last one is cancelled: with a request now and then that would be a timer made for each.
    if (this.#armed === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#interval);
    clearImmediate(this.#afterReads);
    this.#interval = undefined;
  }

  #start(): void {
    this.#tick = this.#currentTick();
    this.#interval ??= setInterval(() => {
      // As of now: what has become due between the reads and the turn is for the next, behind reads of its own.
      const now = this.#currentTick();
      this.#afterReads = setImmediate(() => this.turn(now));
    }, tickMs).unref();
  }

  #currentTick(): number {
    return Math.floor(this.#now() / tickMs);
  }
}
