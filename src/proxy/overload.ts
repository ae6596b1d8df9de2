/**
 * How much a sidecar takes on before it refuses: requests under way, TLS handshakes under way, and bytes held for peers
 * that do not take them.
 *
 * Each buffer has a limit of its own (the table in codec/transport.ts), but there may be sixteen thousand connections
 * with several each; only a ceiling on all together keeps a process from being killed for its memory, and with it the
 * pod. Beyond a ceiling a request is refused at once, before anything is looked up or kept for it, and a new connection
 * is reset. A refusal costs a fraction of a request, but clients that ask again at once would make it up in numbers: of
 * HTTP/1.1 connections that were refused only so many are read again a second, so that what was taken on is still
 * served at full speed. Where the ceiling of bytes stays reached, those connections that hold the most are closed:
 * readers that never read must not lock everybody else out.
 *
 * Bytes are summed up ten times a second while requests are under way, and once a second else: counting each write
 * would cost every request, and what comes in within a tenth of a second is bounded by the processor.
 *
 * Not here: limits towards one cluster (upstream/cluster.ts), and what users ask for (filter/rate-limit.ts).
 */

import type { ProxyLimits } from "./environment.ts";
import { Timeout, type TimerWheel } from "./timer-wheel.ts";

const measureEveryMs = 100;
/** A tenth of a core: a refusal takes 50 µs. */
const refusalsPerSecond = 2_000;
const maxHoldOffMs = 500;
/** Where the ceiling of bytes has to be enforced, so much of it is freed that the next read does not reach it again. */
const roomShare = 1 / 8;

/** Something that keeps bytes. */
export interface Holder {
  readonly heldBytes: number;
}

/** A holder that can be closed to have its bytes back. */
export interface Closable extends Holder {
  destroy(): void;
}

/** A client whose handshake can be given up. */
export interface HandshakingClient {
  /** Ends its connection, and its handshake with it (`endHandshake`). */
  destroy(): void;
}

export class Overload {
  /** Requests and upgraded connections under way. */
  activeRequests = 0;
  refusedRequestsTotal = 0;
  refusedConnectionsTotal = 0;
  /** Connections closed because they held too much for too long. */
  shedTotal = 0;
  /** As last measured. */
  heldBytes = 0;
  /** What holds bytes beside connections; each adds itself, and takes itself out. */
  readonly others: Set<Holder> = new Set();
  readonly #limits: ProxyLimits;
  readonly #wheel: TimerWheel;
  readonly #now: () => number;
  readonly #timer: Timeout;
  #connections: () => Iterable<Closable> = () => [];
  /** When each began; the oldest first. */
  readonly #handshakes = new Map<HandshakingClient, number>();
  /** When the next client that is refused is listened to again. */
  #nextTurn = 0;
  #fullSince: number | undefined;

  constructor(limits: ProxyLimits, wheel: TimerWheel, now: () => number) {
    this.#limits = limits;
    this.#wheel = wheel;
    this.#now = now;
    this.#timer = new Timeout(() => this.measure());
  }

  /** From now on these are measured. */
  watch(connections: () => Iterable<Closable>): void {
    this.#connections = connections;
  }

  /** More bytes are held than may be. */
  get isFull(): boolean {
    return this.heldBytes >= this.#limits.maxHeldBytes;
  }

  // ---- requests --------------------------------------------------------------------------------

  /** Whether one more request is taken on; it is then under way until `leave`. */
  enter(): boolean {
    if (this.activeRequests >= this.#limits.maxRequests || this.isFull) {
      this.refusedRequestsTotal++;
      return false;
    }
    this.activeRequests++;
    if (!this.#timer.isArmed) this.#wheel.arm(this.#timer, measureEveryMs);
    return true;
  }

  /** How long the connection of a request that was just refused is not to be read. */
  holdOffMs(): number {
    const now = this.#now();
    const next = Math.max(now, this.#nextTurn + 1_000 / refusalsPerSecond);
    this.#nextTurn = Math.min(next, now + maxHoldOffMs);
    return this.#nextTurn - now;
  }

  /** One function for all requests. */
  readonly leave = (): void => {
    this.activeRequests--;
  };

  // ---- connections -----------------------------------------------------------------------------

  /** Whether one more connection is taken. */
  admits(): boolean {
    if (this.isFull) this.refusedConnectionsTotal++;
    return !this.isFull;
  }

  /**
   * Whether this client's handshake may begin; it is then under way until `endHandshake`. Where there is no place, it
   * gets that of the oldest, should that one have had it for longer than `handshakeMs`: who says nothing must not keep
   * out who would.
   */
  beginHandshake(client: HandshakingClient): boolean {
    const now = this.#now();
    if (this.#handshakes.size >= this.#limits.maxHandshakes) {
      this.refusedConnectionsTotal++;
      const [oldest] = this.#handshakes;
      if (oldest === undefined || now - oldest[1] <= this.#limits.handshakeMs) return false;
      this.endHandshake(oldest[0]);
      oldest[0].destroy();
    }
    this.#handshakes.set(client, now);
    return true;
  }

  /** Under way. */
  get handshakes(): number {
    return this.#handshakes.size;
  }

  /** Nothing where it is not under way. */
  endHandshake(client: HandshakingClient): void {
    this.#handshakes.delete(client);
  }

  // ---- bytes -----------------------------------------------------------------------------------

  /** Sums up what is held, and frees some where too much was held for too long. */
  measure(): void {
    let held = 0;
    for (const connection of this.#connections()) held += connection.heldBytes;
    for (const other of this.others) held += other.heldBytes;
    this.heldBytes = held;
    if (this.activeRequests > 0 || this.isFull) this.#wheel.arm(this.#timer, measureEveryMs);
    if (!this.isFull) {
      this.#fullSince = undefined;
      return;
    }
    const now = this.#now();
    this.#fullSince ??= now;
    if (now - this.#fullSince >= this.#limits.shedAfterMs) this.#shed();
  }

  #shed(): void {
    const bearable = this.#limits.maxHeldBytes * (1 - roomShare);
    const byWeight = [...this.#connections()]
      .map((connection) => ({ connection, bytes: connection.heldBytes }))
      .sort((a, b) => b.bytes - a.bytes);
    for (const { connection, bytes } of byWeight) {
      if (this.heldBytes <= bearable || bytes === 0) return;
      this.heldBytes -= bytes;
      this.shedTotal++;
      connection.destroy();
    }
  }
}
