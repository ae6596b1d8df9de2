/**
 * Outlier detection: a host that keeps failing is not picked for a while, each time for longer.
 *
 * Envoy's consecutive detectors: so many 5xx in a row (connection failures and resets count as such), or so many gateway
 * errors (502, 503, 504 and the same failures). An ejection lasts base × number of ejections, at most 300 s; at most
 * maxEjectionPercent of the hosts are out at a time, but always one may be. A host that comes back starts with a clean
 * record; for every interval without trouble one earlier ejection is forgotten.
 */

import type { OutlierDetection } from "../../model/proxy-config.ts";
import type { Failure } from "../stack/outcome.ts";

export interface HostHealth {
  consecutive5xx: number;
  consecutiveGatewayErrors: number;
  ejections: number;
  /** 0: not ejected. */
  ejectedUntil: number;
}

export interface Watched {
  readonly health: HostHealth;
}

const maxEjectionMs = 300_000; // Envoy's default

export class OutlierDetector<H extends Watched> {
  readonly #config: OutlierDetection;
  readonly #hosts: () => readonly H[];
  readonly #now: () => number;
  readonly #onChange: () => void;
  /** Ejections ever made. */
  ejectionsTotal = 0;

  /** `onChange` is called when a host becomes usable or unusable. */
  constructor(
    config: OutlierDetection,
    hosts: () => readonly H[],
    now: () => number,
    onChange: () => void,
  ) {
    this.#config = config;
    this.#hosts = hosts;
    this.#now = now;
    this.#onChange = onChange;
  }

  get intervalMs(): number {
    return this.#config.intervalMs;
  }

  onStatus(host: H, status: number): void {
    if (status < 500) {
      host.health.consecutive5xx = host.health.consecutiveGatewayErrors = 0;
      return;
    }
    host.health.consecutive5xx++;
    if (status >= 502 && status <= 504) host.health.consecutiveGatewayErrors++;
    else host.health.consecutiveGatewayErrors = 0;
    this.#judge(host);
  }

  onFailure(host: H, failure: Failure): void {
    if (failure === "overflow" || failure === "no-host") return; // ours, not the host's
    host.health.consecutive5xx++;
    host.health.consecutiveGatewayErrors++;
    this.#judge(host);
  }

  /** Brings back whose time is over. Call it once per interval. */
  review(): void {
    const now = this.#now();
    let changed = false;
    for (const { health } of this.#hosts()) {
      if (health.ejectedUntil === 0) {
        if (health.ejections > 0 && health.consecutive5xx === 0) health.ejections--;
      } else if (health.ejectedUntil <= now) {
        health.ejectedUntil = 0;
        health.consecutive5xx = health.consecutiveGatewayErrors = 0;
        changed = true;
      }
    }
    if (changed) this.#onChange();
  }

  #judge(host: H): void {
    const { consecutive5xx, consecutiveGatewayErrors } = this.#config;
    const { health } = host;
    const isOut =
      (consecutive5xx > 0 && health.consecutive5xx >= consecutive5xx) ||
      (consecutiveGatewayErrors > 0 && health.consecutiveGatewayErrors >= consecutiveGatewayErrors);
    if (!isOut || health.ejectedUntil > 0) return;
    const hosts = this.#hosts();
    const ejected = hosts.filter((other) => other.health.ejectedUntil > 0).length;
    const allowed = Math.max(1, Math.floor((hosts.length * this.#config.maxEjectionPercent) / 100));
    if (this.#config.maxEjectionPercent === 0 || ejected >= allowed) return;
    health.ejections++;
    health.ejectedUntil =
      this.#now() + Math.min(maxEjectionMs, this.#config.baseEjectionMs * health.ejections);
    this.ejectionsTotal++;
    this.#onChange();
  }
}
