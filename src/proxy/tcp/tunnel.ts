/**
 * Two connections, or streams, joined byte for byte, each direction on its own.
 *
 * A direction that carries little reads into the memory that all share and copies what it passes on. Once a read is
 * large it borrows a bulk buffer, and hands that to the other socket as it is. It stops reading while a write is
 * unfinished, since the buffer is in use, and because the other side is then the slower one. A FIN goes through as a
 * FIN, so protocols that close one direction first work. The tunnel is over when both directions are, or when either
 * connection breaks, in which case the other is broken too.
 */

import type { Reader } from "../codec/transport.ts";
import { borrowBulkBuffer, returnBulkBuffer } from "./bulk-buffers.ts";
import type { TunnelEnd } from "./tunnel-end.ts";

/** A read of so many bytes makes the next one worth a bulk buffer. */
const largeReadBytes = 32 * 1024;
/** TLS hands its bytes out by the record, so that a buffer of this size is all it ever fills. */
const tlsRecordBytes = 16 * 1024;

export interface TunnelBytes {
  readonly fromDownstreamBytes: number;
  readonly fromUpstreamBytes: number;
}

export class Tunnel {
  readonly #downstream: Direction;
  readonly #upstream: Direction;
  readonly #onClosed: (bytes: TunnelBytes) => void;
  #openEnds = 2;
  /** Set whenever bytes move; whoever watches for an idle timeout clears it. */
  hasMoved = true;

  constructor(downstream: TunnelEnd, upstream: TunnelEnd, onClosed: (bytes: TunnelBytes) => void) {
    this.#downstream = new Direction(downstream, upstream, this);
    this.#upstream = new Direction(upstream, downstream, this);
    this.#onClosed = onClosed;
  }

  /** Nothing has been said yet. */
  get isSilent(): boolean {
    return this.#downstream.bytes === 0 && this.#upstream.bytes === 0;
  }

  get fromDownstreamBytes(): number {
    return this.#downstream.bytes;
  }

  get fromUpstreamBytes(): number {
    return this.#upstream.bytes;
  }

  /** Whether the upstream sent something before the downstream did. */
  get upstreamSpokeFirst(): boolean {
    return this.#upstream.wasFirst;
  }

  /** Bytes that were read before the tunnel began. They go first. */
  sendUpstream(bytes: Buffer): void {
    this.#downstream.send(bytes);
  }

  sendDownstream(bytes: Buffer): void {
    this.#upstream.send(bytes);
  }

  /** Takes both connections over. `hasDownstreamEnded`: its FIN was seen before. */
  start(hasDownstreamEnded = false): void {
    this.#downstream.start();
    this.#upstream.start();
    if (hasDownstreamEnded) this.#downstream.onEnd();
  }

  /** Breaks both connections. */
  destroy(): void {
    this.#downstream.from.destroy();
    this.#upstream.from.destroy();
  }

  /** One connection is gone; the other follows: at once when it broke, after what is queued otherwise. */
  onEndClosed(other: TunnelEnd, error: Error | undefined): void {
    if (error !== undefined) other.reset();
    else other.close();
    if (--this.#openEnds === 0) this.#onClosed(this);
  }
}

class Direction implements Reader {
  readonly from: TunnelEnd;
  bytes = 0;
  wasFirst = false;
  readonly #to: TunnelEnd;
  readonly #tunnel: Tunnel;
  readonly #written: () => void;
  #unfinished = 0;
  #bulk: Buffer | undefined;
  /** The next read goes elsewhere: the bulk buffer is given back as soon as it has been written. */
  #isReturning = false;

  constructor(from: TunnelEnd, to: TunnelEnd, tunnel: Tunnel) {
    this.from = from;
    this.#to = to;
    this.#tunnel = tunnel;
    this.#written = () => {
      if (--this.#unfinished > 0) return;
      if (this.#isReturning) this.#returnBulk();
      this.from.resume();
    };
  }

  start(): void {
    this.from.reader = this;
    if (this.from.readsByRecord) this.from.readInto(Buffer.allocUnsafeSlow(tlsRecordBytes));
    if (this.#unfinished === 0) this.from.resume();
  }

  send(bytes: Buffer): void {
    this.bytes += bytes.length;
    this.#write(bytes);
  }

  onBytes(bytes: Buffer, length: number): void {
    if (this.#tunnel.isSilent) this.wasFirst = true;
    this.bytes += length;
    this.#tunnel.hasMoved = true;
    const read = bytes.subarray(0, length);
    if (this.from.readsByRecord) this.#passOnRecord(read);
    else {
      this.#write(this.from.ownsBuffer ? read : Buffer.from(read));
      this.#chooseBuffer(length);
    }
  }

  /**
   * TLS goes on when it is paused, record by record, with what it had read by then: while one waits to be written, the
   * next must not come into the same memory.
   */
  #passOnRecord(record: Buffer): void {
    const isLent = this.from.ownsBuffer && this.#to.queuedBytes === 0;
    this.#write(isLent ? record : Buffer.from(record));
    const isKept = isLent && !this.#to.isTls && this.#to.queuedBytes > 0;
    if (isKept) this.from.readInto(Buffer.allocUnsafeSlow(tlsRecordBytes));
  }

  /** Where the next read goes, by how large this one was. */
  #chooseBuffer(length: number): void {
    const isLarge = length >= largeReadBytes;
    if (isLarge === (this.#bulk !== undefined && !this.#isReturning)) return;
    this.#isReturning = !isLarge;
    if (isLarge) this.#bulk ??= borrowBulkBuffer();
    this.from.readInto(isLarge ? this.#bulk : undefined);
    if (this.#isReturning && this.#unfinished === 0) this.#returnBulk();
  }

  #returnBulk(): void {
    this.#isReturning = false;
    if (this.#bulk !== undefined) returnBulkBuffer(this.#bulk);
    this.#bulk = undefined;
  }

  #write(bytes: Buffer): void {
    // TLS has encrypted the bytes when the call returns, unless others wait before them; then only the mark counts.
    const isConsumed = this.#to.consumesAtOnce;
    this.#unfinished++;
    this.#to.writeOwned(bytes, this.#written);
    // A plain write that the kernel took at once leaves nothing queued; the callback still comes a little later.
    if (isConsumed ? this.#to.isBackedUp : this.#to.queuedBytes > 0) this.from.pause();
  }

  onEnd(): void {
    this.#to.end();
  }

  onDrain(): void {}

  onClose(error: Error | undefined): void {
    // A buffer that is still being written is left to the collector.
    if (this.#unfinished === 0) this.#returnBulk();
    this.#tunnel.onEndClosed(this.#to, error);
  }
}
