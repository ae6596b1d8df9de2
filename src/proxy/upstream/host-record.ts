/**
 * How a host has done lately, as balancers see it.
 *
 * Strain: a host that fails at once has nothing under way and answers soonest, so load-aware balancers would send it
 * everything. Each failure therefore makes the host look busier, up to `1 + hostStrain.most` times, for some seconds; it
 * is 1 where nothing fails, and costs nothing there. This holds before and beside outlier detection, which may be off.
 *
 * Latency: an average of answer times, weighed by age, that jumps to a slow answer at once and forgets it slowly
 * (Finagle's peak-EWMA).
 */

import { hostStrain } from "../../model/names.ts";

const { step } = hostStrain;
const forgetMs = 10_000; // Linkerd's decay
const firstLatencyMs = 30; // Linkerd's guess of a host that has not answered yet

export class HostRecord {
  /** 0: nothing failed lately; 1: everything did. */
  #failing = 0;
  #failedAt = 0;
  #latencyMs = firstLatencyMs;
  #answeredAt = 0;

  noteFailure(now: number): void {
    this.#failing = this.#failingAt(now) * (1 - step) + step;
    this.#failedAt = now;
  }

  noteSuccess(now: number): void {
    const failing = this.#failingAt(now) * (1 - step);
    this.#failing = failing < 0.01 ? 0 : failing;
    this.#failedAt = now;
  }

  noteLatency(ms: number, now: number): void {
    const kept = Math.exp(-(now - this.#answeredAt) / forgetMs);
    this.#latencyMs = ms > this.#latencyMs ? ms : ms * (1 - kept) + this.#latencyMs * kept;
    this.#answeredAt = now;
  }

  get isFailing(): boolean {
    return this.#failing > 0;
  }

  get latencyMs(): number {
    return this.#latencyMs;
  }

  strain(now: number): number {
    return 1 + hostStrain.most * this.#failingAt(now);
  }

  #failingAt(now: number): number {
    return this.#failing * Math.exp(-(now - this.#failedAt) / forgetMs);
  }
}
