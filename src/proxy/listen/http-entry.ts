/**
 * Which HTTP a connection speaks, by its first bytes: HTTP/2 begins with a preface that is no request of HTTP/1.1
 * (RFC 9113 §3.4), whatever ports and names have said before. Only where ALPN settled HTTP/2 there is nothing to tell.
 */

import { keptCopy } from "../codec/kept-bytes.ts";
import type { Reader, Transport } from "../codec/transport.ts";
import type { LiveConnection } from "./connections.ts";

export type HttpVersion = "http/1.1" | "http/2";

/** The method of the preface, and its space: no other method begins so. */
const preface = "PRI ";

/** Undefined: more bytes are needed to tell. */
export function httpVersion(bytes: Buffer, length: number): HttpVersion | undefined {
  if (length === 0) return undefined;
  const seen = Math.min(length, preface.length);
  for (let i = 0; i < seen; i++) {
    if (bytes[i] !== preface.charCodeAt(i)) return "http/1.1";
  }
  return seen === preface.length ? "http/2" : undefined;
}

/** What ALPN settled, where it settled HTTP/2: whatever comes then must be that. */
export function negotiatedVersion(transport: Transport): HttpVersion | undefined {
  const alpn = transport.negotiated?.protocol;
  return alpn === "h2" || alpn === "istio-h2" ? "http/2" : undefined;
}

/** Waits for as many bytes as it takes to tell, and hands the connection over with them. */
export class HttpEntry implements Reader, LiveConnection {
  readonly #transport: Transport;
  readonly #take: (version: HttpVersion, first: Buffer, length: number) => void;
  readonly #onClosed: (entry: HttpEntry) => void;
  readonly #idleMs: number;
  readonly #since: number;
  #first: Buffer | undefined;

  constructor(
    transport: Transport,
    since: number,
    idleMs: number,
    take: (version: HttpVersion, first: Buffer, length: number) => void,
    onClosed: (entry: HttpEntry) => void,
  ) {
    this.#transport = transport;
    this.#since = since;
    this.#idleMs = idleMs;
    this.#take = take;
    this.#onClosed = onClosed;
  }

  onBytes(bytes: Buffer, length: number): void {
    const before = this.#first;
    const all = before === undefined ? bytes : Buffer.concat([before, bytes.subarray(0, length)]);
    const end = before === undefined ? length : all.length;
    const version = httpVersion(all, end);
    if (version === undefined) {
      this.#first = keptCopy(all, 0, end);
      return;
    }
    this.#take(version, all, end);
    this.#onClosed(this); // after its successor came: the sidecar is not idle in between
  }

  onEnd(): void {
    this.#transport.close();
  }

  onDrain(): void {}

  onClose(): void {
    this.#onClosed(this);
  }

  get heldBytes(): number {
    return this.#first?.length ?? 0;
  }

  drain(): void {
    this.#transport.close();
  }

  retire(): void {}

  destroy(): void {
    this.#transport.destroy();
  }

  sweep(now: number): void {
    if (now - this.#since > this.#idleMs) this.#transport.close();
  }
}
