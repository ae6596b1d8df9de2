/**
 * How many connections the node tracks, each second of the last five minutes: what a forecast is made from.
 *
 * Two small files are read; losses are told as increases since the log began.
 */

import { readConnectionCount, readConnectionLosses } from "../../kernel/protocol-counters.ts";
import type { ConnectionSample, ConnectionTable } from "../../model/network-check.ts";

const keepMs = 300_000;
const leastGapMs = 900;

export class ConnectionLog {
  #samples: ConnectionSample[] = [];
  #begun = readConnectionLosses();

  /** Call it as often as you like; a sample a second is kept. */
  sample(now: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && now - last.at < leastGapMs) return;
    const counted = readConnectionCount();
    if (counted === undefined) return;
    this.#begun ??= readConnectionLosses();
    this.#samples.push({ at: now, ...counted });
    if ((this.#samples[0]?.at ?? now) < now - keepMs) this.#samples.shift();
  }

  /** Undefined where connections are not tracked. */
  table(now: number): ConnectionTable | undefined {
    this.sample(now);
    const losses = readConnectionLosses();
    if (losses === undefined || losses.max === 0) return undefined;
    const { dropped = 0, insertFailed = 0, earlyDropped = 0 } = this.#begun ?? {};
    return {
      max: losses.max,
      samples: [...this.#samples],
      dropped: losses.dropped - dropped,
      insertFailed: losses.insertFailed - insertFailed,
      earlyDropped: losses.earlyDropped - earlyDropped,
    };
  }
}
