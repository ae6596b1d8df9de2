/**
 * Outlier detection: a host that keeps failing is not picked for a while, each time for longer.
 *
 * Envoy's detectors. Consecutive ones judge at once: so many failing answers in a row, so many gateway errors, so many
 * failures of ours to reach it. Statistical ones (outlier-statistics.ts) judge once an interval. An ejection lasts
 * base × number of ejections, at most 300 s or base; at most maxEjectionPercent of the hosts are out at a time, but always one
 * may be. For every interval without trouble one earlier ejection is forgotten.
 *
 * A host whose time is over is on probation first, which Envoy has not: one request at a time, until one succeeds; a
 * failure sends it back at once. A host that is still broken costs one request then, and not a row of them per client.
 */

import type { OutlierDetection } from "../../model/proxy-config.ts";
import type { Failure } from "../stack/outcome.ts";
import { statisticalOutliers } from "./outlier-statistics.ts";

export interface HostHealth {
  consecutive5xx: number;
  consecutiveGatewayErrors: number;
  consecutiveLocalOrigin: number;
  /** Of the present interval. */
  requests: number;
  failures: number;
  ejections: number;
  /** 0: not ejected. */
  ejectedUntil: number;
  isOnProbation: boolean;
  /** The present run of failures of any kind: how many, since when, and the requests that failed for good. */
  failedInRow: number;
  failingSince: number;
  lostRequests: number;
}

export interface Watched {
  readonly health: HostHealth;
}

export function healthy(): HostHealth {
  return {
    consecutive5xx: 0,
    consecutiveGatewayErrors: 0,
    consecutiveLocalOrigin: 0,
    requests: 0,
    failures: 0,
    ejections: 0,
    ejectedUntil: 0,
    isOnProbation: false,
    failedInRow: 0,
    failingSince: 0,
    lostRequests: 0,
  };
}

const maxEjectionMs = 300_000; // Envoy's default

export class OutlierDetector<H extends Watched> {
  readonly #config: OutlierDetection;
  readonly #hosts: () => readonly H[];
  readonly #now: () => number;
  readonly #onChange: (ejected?: H) => void;
  readonly #statuses: ReadonlySet<number> | undefined;
  /** Ejections ever made. */
  ejectionsTotal = 0;

  /** `onChange` is called when a host becomes usable or unusable; with the host, where it was ejected. */
  constructor(
    config: OutlierDetection,
    hosts: () => readonly H[],
    now: () => number,
    onChange: (ejected?: H) => void,
  ) {
    this.#config = config;
    this.#hosts = hosts;
    this.#now = now;
    this.#onChange = onChange;
    const { failureStatuses } = config;
    this.#statuses = failureStatuses === undefined ? undefined : new Set(failureStatuses);
  }

  get intervalMs(): number {
    return this.#config.intervalMs;
  }

  onStatus(host: H, status: number): void {
    const { health } = host;
    health.requests++;
    health.consecutiveLocalOrigin = 0; // it was reached
    const isFailure = this.#statuses === undefined ? status >= 500 : this.#statuses.has(status);
    if (!isFailure) {
      health.failedInRow = 0;
      health.consecutive5xx = health.consecutiveGatewayErrors = 0;
      if (health.isOnProbation) {
        health.isOnProbation = false;
        this.#onChange();
      }
      return;
    }
    this.#fail(health);
    health.consecutive5xx++;
    if (status >= 502 && status <= 504) health.consecutiveGatewayErrors++;
    else health.consecutiveGatewayErrors = 0;
    this.#judge(host);
  }

  onFailure(host: H, failure: Failure): void {
    if (failure === "overflow" || failure === "no-host") return; // ours, not the host's
    const { health } = host;
    health.requests++;
    this.#fail(health);
    if (this.#config.consecutiveLocalOrigin !== undefined) health.consecutiveLocalOrigin++;
    else {
      health.consecutive5xx++;
      health.consecutiveGatewayErrors++;
    }
    this.#judge(host);
  }

  #fail(health: HostHealth): void {
    health.failures++;
    if (health.failedInRow++ > 0) return;
    health.failingSince = this.#now();
    health.lostRequests = 0;
  }

  /** Judges by statistics, and lets those try again whose time is over. Call it once per interval. */
  review(): void {
    const now = this.#now();
    const hosts = this.#hosts();
    let changed = false;
    for (const host of statisticalOutliers(this.#config, hosts)) this.#eject(host);
    for (const { health } of hosts) {
      health.requests = health.failures = 0;
      if (health.ejectedUntil === 0) {
        const isQuiet = health.consecutive5xx === 0 && !health.isOnProbation;
        if (health.ejections > 0 && isQuiet) health.ejections--;
      } else if (health.ejectedUntil <= now) {
        health.ejectedUntil = 0;
        health.isOnProbation = true;
        health.failedInRow = 0;
        health.consecutive5xx = health.consecutiveGatewayErrors = health.consecutiveLocalOrigin = 0;
        changed = true;
      }
    }
    if (changed) this.#onChange();
  }

  #judge(host: H): void {
    const { health } = host;
    const { consecutive5xx, consecutiveGatewayErrors, consecutiveLocalOrigin = 0 } = this.#config;
    const isOver = (count: number, limit: number) => limit > 0 && count >= limit;
    const isOut =
      health.isOnProbation ||
      isOver(health.consecutive5xx, consecutive5xx) ||
      isOver(health.consecutiveGatewayErrors, consecutiveGatewayErrors) ||
      isOver(health.consecutiveLocalOrigin, consecutiveLocalOrigin);
    if (isOut) this.#eject(host);
  }

  #eject(host: H): void {
    const { health } = host;
    if (health.ejectedUntil > 0) return;
    const hosts = this.#hosts();
    const ejected = hosts.filter((other) => other.health.ejectedUntil > 0).length;
    const allowed = Math.max(1, Math.floor((hosts.length * this.#config.maxEjectionPercent) / 100));
    if (this.#config.maxEjectionPercent === 0 || ejected >= allowed) return;
    health.isOnProbation = false;
    health.ejections++;
    const { baseEjectionMs } = this.#config;
    const longestMs = Math.max(maxEjectionMs, baseEjectionMs);
    health.ejectedUntil = this.#now() + Math.min(longestMs, baseEjectionMs * health.ejections);
    this.ejectionsTotal++;
    this.#onChange(host);
  }
}
