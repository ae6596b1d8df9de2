/**
 * What is kept of a request's body: as little as there may be.
 *
 * Bytes that come with the head stay where they were read until the handler returns, and mostly go out from there.
 * They are copied only where there is no connection yet, or where a retry must be able to send them again: then up to
 * 64 KiB, beyond which the request is sent once.
 *
 * Not here: who passes bytes that need not be kept (`ForwardedRequest.onRequestBody`), and who is slowed down.
 */

import { ByteQueue } from "../../base/byte-queue.ts";
import { asBuffer } from "../codec/http2/vocabulary.ts";
import type { Exchange } from "./exchange.ts";
import type { UpstreamLeg } from "./legs.ts";

/** What is kept for a retry. Linkerd's limit. */
const maxKeptBytes = 64 * 1024;

export class RequestBody {
  /** It is to be kept for a retry, as far as it fits. */
  isForRetry = false;
  /** Some of it has gone out. */
  hasLeft = false;
  #kept: ByteQueue | undefined = undefined;
  #keptBytes = 0;
  /** What came with the head and is still in place: `#inPlace[#start … #end]`. */
  #inPlace: Buffer | undefined = undefined;
  #start = 0;
  #end = 0;

  /** Whether everything sent so far could be sent again. */
  get canReplay(): boolean {
    return !this.hasLeft || (this.isForRetry && this.#keptBytes <= maxKeptBytes);
  }

  get heldBytes(): number {
    return this.#kept === undefined ? 0 : this.#keptBytes;
  }

  /** The bytes that came in the same read as the head; they are in place only until `settle`. */
  offer(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.#inPlace = bytes;
    this.#start = start;
    this.#end = end;
  }

  /** What is in place will be overwritten: it is copied, where anybody still wants it. */
  settle(isWanted: boolean): void {
    const bytes = this.#inPlace;
    if (bytes === undefined) return;
    this.#inPlace = undefined;
    if (isWanted) this.keep(bytes, this.#start, this.#end, false);
  }

  /** `hasWayOut`: there is a connection that the bytes go out on, too. */
  keep(bytes: Buffer, start: number, end: number, hasWayOut: boolean): void {
    if (start === end) return;
    this.#keptBytes += end - start;
    if (this.isForRetry && this.#keptBytes > maxKeptBytes && hasWayOut) {
      this.#kept = undefined; // too long to send again
      return;
    }
    this.#kept ??= new ByteQueue();
    this.#kept.push(bytes, start, end);
  }

  /** Sends the request with all that is here of its body, in one write. */
  sendWith(exchange: Exchange, upstream: UpstreamLeg): void {
    const isDone = exchange.isRequestDone;
    const first = this.#inPlace;
    const kept = this.#kept;
    this.hasLeft ||= kept !== undefined || first !== undefined;
    if (kept !== undefined) {
      const body = asBuffer(kept.bytes());
      if (!this.isForRetry) this.#kept = undefined;
      upstream.sendRequest(exchange, body, 0, body.length, isDone);
    } else if (first !== undefined) {
      upstream.sendRequest(exchange, first, this.#start, this.#end, isDone);
      // It may have failed already, and wait for another connection.
      if (this.isForRetry)
        this.keep(first, this.#start, this.#end, exchange.upstream !== undefined);
      this.#inPlace = undefined;
    } else upstream.sendRequest(exchange, undefined, 0, 0, isDone);
  }

  /** The same bytes for a copy of the request. */
  copyTo(other: RequestBody): void {
    other.#inPlace = this.#inPlace;
    other.#start = this.#start;
    other.#end = this.#end;
    other.#kept = this.#kept?.copy();
    other.#keptBytes = this.#keptBytes;
  }

  drop(): void {
    this.#kept = undefined;
  }
}
