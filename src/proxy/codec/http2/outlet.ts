/**
 * The way out of one HTTP/2 connection: when its output is sent, and whether it takes more.
 *
 * The output's array is written over as soon as the kernel (or OpenSSL) has taken its bytes, which is nearly always at
 * once; otherwise the socket keeps it and a new one begins.
 */

import type { Output } from "../../../wire/hpack/output.ts";
import { type Flushable, flushSoon } from "../flusher.ts";
import type { Transport } from "../transport.ts";

/** Beyond it, output is sent at once. */
const maxOutputBytes = 64 * 1024;

export class Outlet implements Flushable {
  readonly #transport: Transport;
  readonly #out: Output;
  #isWaiting = false;

  constructor(transport: Transport, out: Output) {
    this.#transport = transport;
    this.#out = out;
  }

  /** Something was written, or may have been. */
  wake(): void {
    if (this.#out.length > maxOutputBytes) this.flush();
    else if (!this.#isWaiting && this.#out.length > 0) {
      this.#isWaiting = true;
      flushSoon(this);
    }
  }

  flush(): void {
    this.#isWaiting = false;
    if (this.#out.length > 0) this.#transport.writeOutput(this.#out);
  }

  /** Whether sources must wait for `onDrain`. */
  get isBackedUp(): boolean {
    return this.#transport.isBackedUp;
  }
}

export function allocateOutput(bytes: number): Uint8Array {
  return Buffer.allocUnsafeSlow(bytes);
}
