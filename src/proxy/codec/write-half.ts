/**
 * The half of a transport that writes: heads and bodies of HTTP/1.1, output of HTTP/2, what tunnels carry.
 *
 * All of it leaves at once (past the socket's stream, by it, or as records of TLS) or waits: text for the end of this turn of
 * the event loop (flusher.ts), and anything, while the queue is full or TLS may not write, behind what waits already, to be
 * handed on in one piece. Whatever waits otherwise than what is written now is sent first (`flush`, `catchUp`): nothing
 * overtakes.
 *
 * It is the transport itself and no part of one, so that nothing that is written goes through another object.
 *
 * Not here: reading, the beginning of TLS, and how a transport ends (transport.ts).
 */

import type { Socket } from "node:net";
import { ByteQueue } from "../../base/byte-queue.ts";
import type { Output } from "../../wire/hpack/output.ts";
import { writeDirectly } from "./direct-write.ts";
import { type Flushable, flushSoon } from "./flusher.ts";
import { keptCopy } from "./kept-bytes.ts";
import type { Secured } from "./secured.ts";

/** Above this many unsent bytes the opposite direction stops reading. */
const highWaterBytes = 64 * 1024;
/** Up to here a body rides with its head in one string: one copy, one write (libuv writes 16 KiB without allocating). */
export const joinedBodyBytes: number = 14 * 1024;
/** A larger output array is let go after use: idle connections must not hold what a busy moment needed. */
const maxReusedBytes = 128 * 1024;

export abstract class WriteHalf implements Flushable {
  abstract readonly socket: Socket;
  abstract isTls: boolean;
  /** TLS of our own. */
  protected abstract secured: Secured | undefined;
  /** Text of this turn of the event loop. Whatever else is written, or ends the connection, has it sent before. */
  #soon = "";
  /** What is written while the queue is full: a socket has an object, or a record, for each write, however small. */
  #behind: ByteQueue | undefined;
  /** Called when what is behind is written. */
  #onWritten: (() => void) | undefined;

  // ---- whether there is room --------------------------------------------------------------------

  /** Whether so much is waiting to be sent that the source must wait for `onDrain`. */
  get isBackedUp(): boolean {
    return this.socket.writableLength >= highWaterBytes || this.mustWait();
  }

  get queuedBytes(): number {
    return this.socket.writableLength + (this.#behind?.length ?? 0) + this.#soon.length;
  }

  /** What is written is done with when the call returns: TLS has encrypted it. Node's does not while others wait before it. */
  get consumesAtOnce(): boolean {
    return this.secured !== undefined || (this.isTls && this.socket.writableLength === 0);
  }

  // ---- heads and bodies -------------------------------------------------------------------------

  /** Writes latin1 text: heads, and bodies that were read as latin1. It leaves with this turn of the event loop. */
  writeText(text: string): void {
    if (this.#soon === "") flushSoon(this);
    this.#soon += text;
    if (this.#soon.length > joinedBodyBytes) this.flush();
  }

  /** Writes a head and the bytes that follow it with as few system calls as can be. */
  writeMessage(head: string, bytes: Buffer, start: number, end: number): void {
    if (start === end) this.writeText(head);
    else this.#writeAround(head, bytes, start, end, "");
  }

  /** Writes bytes as one chunk of HTTP/1.1's. */
  writeChunk(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.#writeAround(`${(end - start).toString(16)}\r\n`, bytes, start, end, "\r\n");
  }

  #writeAround(before: string, bytes: Buffer, start: number, end: number, after: string): void {
    if (this.#goesAsText(end - start)) {
      this.writeText(`${before}${bytes.toString("latin1", start, end)}${after}`);
      return;
    }
    this.flush();
    if (this.#waiting() === undefined && this.secured !== undefined) {
      this.secured.writeAround(before, bytes, start, end, after);
      return;
    }
    this.socket.cork();
    this.#writeNow(before);
    this.writeBytes(bytes, start, end);
    if (after !== "") this.#writeNow(after);
    this.socket.uncork();
  }

  /** Writes bytes of the shared buffer, which stay the caller's. */
  writeBytes(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    if (this.#goesAsText(end - start)) {
      this.writeText(bytes.toString("latin1", start, end));
      return;
    }
    this.flush();
    const waiting = this.#waiting();
    if (waiting !== undefined) waiting.push(bytes, start, end);
    else if (this.secured !== undefined) this.secured.write(bytes, start, end);
    else this.#send(this.consumesAtOnce ? bytes.subarray(start, end) : copyOf(bytes, start, end));
  }

  /** TLS of our own takes bytes as they are. */
  #goesAsText(length: number): boolean {
    return this.secured === undefined && length <= joinedBodyBytes;
  }

  // ---- what others have put together ------------------------------------------------------------

  /** Writes bytes that the caller leaves alone until `written` is called. */
  writeOwned(bytes: Buffer, written: () => void): void {
    this.flush();
    this.catchUp();
    if (this.mustWait()) {
      const before = this.#onWritten;
      this.#onWritten = () => {
        before?.();
        written();
      };
      this.#waiting()?.push(bytes, 0, bytes.length);
    } else if (this.secured !== undefined) this.secured.write(bytes, 0, bytes.length, written);
    else this.socket.write(bytes, written);
  }

  /** Writes all of an output, whose array is written over again as soon as nobody reads it any more. */
  writeOutput(out: Output): void {
    this.flush();
    const whole = out.bytes;
    const bytes = out.take();
    const waiting = this.#waiting();
    const isCopied = waiting === undefined && this.secured === undefined && this.#isSmall(bytes);
    if (waiting !== undefined || isCopied) {
      if (waiting !== undefined) waiting.push(bytes, 0, bytes.length);
      else this.socket.write(keptCopy(bytes, 0, bytes.length));
      if (whole.length <= maxReusedBytes) out.reuse(bytes, whole);
      return;
    }
    // Asked before: what a plain socket, or Node's TLS, does with it shows only afterwards.
    const isConsumed = this.consumesAtOnce;
    if (this.secured !== undefined) this.secured.write(bytes, 0, bytes.length);
    else this.#send(bytes);
    const isFree = isConsumed || (!this.isTls && this.socket.writableLength === 0);
    if (isFree && whole.length <= maxReusedBytes) out.reuse(bytes, whole);
  }

  /** It will wait, and would keep much more room than it needs. */
  #isSmall(bytes: Uint8Array): boolean {
    return this.socket.writableLength > 0 && 4 * bytes.length <= bytes.buffer.byteLength;
  }

  // ---- the ways out -----------------------------------------------------------------------------

  flush(): void {
    const text = this.#soon;
    if (text === "") return;
    this.#soon = "";
    this.#writeNow(text);
  }

  #writeNow(text: string): void {
    const waiting = this.#waiting();
    if (waiting !== undefined) waiting.push(Buffer.from(text, "latin1"), 0, text.length);
    else if (this.secured !== undefined) this.secured.writeText(text);
    else this.#send(text);
  }

  /** Not inside TLS of our own. Text is latin1. */
  #send(chunk: string | Uint8Array): void {
    if (!this.isTls) writeDirectly(this.socket, chunk);
    else if (typeof chunk === "string") this.socket.write(chunk, "latin1");
    else this.socket.write(chunk);
  }

  /** Where small pieces go while the queue is full; undefined: to the socket. */
  #waiting(): ByteQueue | undefined {
    if (this.#behind === undefined && this.isBackedUp) this.#behind = new ByteQueue();
    return this.#behind;
  }

  // A method, as `#waiting` is: V8 asks its runtime for a private getter each time, and calls it without inlining it.
  /** TLS cannot write now. */
  protected mustWait(): boolean {
    return this.secured !== undefined && !this.secured.mayWrite;
  }

  /** Hands what waits to the socket, in one piece. */
  protected catchUp(): void {
    if (this.mustWait()) return;
    const behind = this.#behind;
    const onWritten = this.#onWritten;
    this.#behind = undefined;
    this.#onWritten = undefined;
    if (behind === undefined || behind.length === 0) return;
    const bytes = behind.bytes();
    if (this.secured !== undefined) this.secured.write(bytes, 0, bytes.length, onWritten);
    else this.socket.write(bytes);
  }
}

function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}
