/**
 * The streams of one connection: those that are open, and of the others whether they were never opened (idle), are
 * over, or were reset by us so lately that their frames may still be on the way (RFC 9113 §5.1).
 */

import { maxStreamId } from "./protocol.ts";
import type { Http2Stream } from "./stream.ts";

export type Role = "client" | "server";

/** Streams that a peer may have open at a time. Envoy's default. */
export const maxConcurrentStreams: number = 1_024;

/** Frames of streams that we have reset are on their way for a while. */
const rememberedResets = 1_024;

export class StreamTable<T> {
  /** The highest stream that the peer has opened. */
  lastPeerId = 0;
  /** Streams above it are not looked at any more. */
  lastTakenId: number = maxStreamId;
  readonly #role: Role;
  readonly #open = new Map<number, Http2Stream<T>>();
  readonly #resets = new Set<number>();
  #nextId = 1;

  constructor(role: Role) {
    this.#role = role;
  }

  get size(): number {
    return this.#open.size;
  }

  get all(): Iterable<Http2Stream<T>> {
    return this.#open.values();
  }

  get(id: number): Http2Stream<T> | undefined {
    return this.#open.get(id);
  }

  add(stream: Http2Stream<T>): void {
    this.#open.set(stream.id, stream);
  }

  delete(stream: Http2Stream<T>): void {
    this.#open.delete(stream.id);
  }

  /** The id of the next stream that we open (client). */
  takeId(): number {
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  get hasIds(): boolean {
    return this.#nextId <= maxStreamId - 2;
  }

  /** A stream that our side opens; a server opens none. */
  isOurs(id: number): boolean {
    return id % 2 === 1 ? this.#role === "client" : this.#role === "server";
  }

  /** Never opened by anybody. */
  isIdle(id: number): boolean {
    return this.isOurs(id) ? this.#role === "server" || id >= this.#nextId : id > this.lastPeerId;
  }

  wasReset(id: number): boolean {
    return this.#resets.has(id);
  }

  rememberReset(id: number): void {
    if (this.#resets.size >= rememberedResets) {
      const [oldest] = this.#resets;
      if (oldest !== undefined) this.#resets.delete(oldest);
    }
    this.#resets.add(id);
  }
}
