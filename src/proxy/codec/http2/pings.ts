/**
 * Asks the peer of a connection of HTTP/2 whether it is there, a PING every interval, and says so when nothing at all
 * has come from it for as long as an answer may take. Whatever comes is a sign of life: the answer may stand behind
 * much data.
 *
 * On timers of Node's: the wheel would keep an idle process awake between two questions. As with the wheel, what has
 * arrived is read before a time is found to be over.
 */

import type { Http2KeepAlive } from "../../../model/proxy-config.ts";
import { longestTimerMs } from "../../longest-timer.ts";

export class Pings {
  readonly #keepAlive: Http2KeepAlive;
  readonly #ask: () => void;
  readonly #onSilence: () => void;
  #timer: NodeJS.Timeout | undefined;
  #afterReads: NodeJS.Immediate | undefined;
  #isWaiting = false;

  constructor(keepAlive: Http2KeepAlive, ask: () => void, onSilence: () => void) {
    this.#keepAlive = keepAlive;
    this.#ask = ask;
    this.#onSilence = onSilence;
    this.#rest();
  }

  #rest(): void {
    this.#isWaiting = false;
    this.#arm(this.#keepAlive.intervalMs, () => {
      this.#isWaiting = true;
      this.#arm(this.#keepAlive.timeoutMs, this.#onSilence);
      this.#ask();
    });
  }

  #arm(ms: number, fire: () => void): void {
    this.stop();
    const onTime = () => {
      this.#afterReads = setImmediate(fire);
    };
    this.#timer = setTimeout(onTime, Math.min(ms, longestTimerMs)).unref();
  }

  /** Something has come; the answer may follow. */
  onBytes(): void {
    if (!this.#isWaiting) return;
    clearImmediate(this.#afterReads);
    this.#timer?.refresh();
  }

  onPong(): void {
    if (this.#isWaiting) this.#rest();
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#afterReads);
  }
}
