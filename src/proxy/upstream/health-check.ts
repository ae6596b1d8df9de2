/**
 * Active health checks of a cluster: each endpoint is asked in turn, and taken out of the picker while it is unwell.
 *
 * An endpoint has at most one check under way, so checks cost it no more than one request each interval from each
 * sidecar, however slow it is; a cluster that nobody has used is checked once a minute, and as often as others from its
 * first use on. Until its first result an endpoint is used: with Envoy it is not, and every new sidecar answers 503 for
 * a moment.
 *
 * Not here: what a check sends (health-probe.ts), what results amount to (health-state.ts).
 */

import type { HealthCheck } from "../../model/proxy-config.ts";
import { longestTimerMs } from "../longest-timer.ts";
import type { ClusterRuntime } from "./cluster.ts";
import { compileProbe, type Probe } from "./health-probe.ts";
import { nextHealth, type ProbeResult } from "./health-state.ts";
import type { Host } from "./host.ts";

const defaultNoTrafficMs = 60_000; // Envoy's

export class HealthChecker {
  readonly #cluster: ClusterRuntime;
  readonly #check: HealthCheck;
  readonly #probe: Probe;
  readonly #onChange: () => void;
  /** Ends what is under way or waited for, by endpoint. */
  readonly #pending = new Map<Host, () => void>();
  attemptsTotal = 0;
  failuresTotal = 0;

  /** `onChange` is called when an endpoint has become well or unwell. */
  constructor(cluster: ClusterRuntime, check: HealthCheck, onChange: () => void) {
    this.#cluster = cluster;
    this.#check = check;
    this.#probe = compileProbe(check.probe, cluster);
    this.#onChange = onChange;
  }

  /** Checks these endpoints from now on, and no others. */
  watch(hosts: readonly Host[]): void {
    const wanted = new Set(hosts);
    for (const [host, end] of this.#pending) {
      if (!wanted.has(host)) {
        this.#pending.delete(host);
        end();
      }
    }
    const { initialJitterMs = 0 } = this.#check;
    for (const host of hosts) {
      if (!this.#pending.has(host)) this.#wait(host, this.#random() * initialJitterMs);
    }
  }

  stop(): void {
    this.watch([]);
  }

  #random(): number {
    return this.#cluster.environment.random();
  }

  #wait(host: Host, ms: number, then = () => this.#ask(host)): void {
    const timer = setTimeout(then, Math.min(ms, longestTimerMs));
    timer.unref();
    this.#pending.set(host, () => clearTimeout(timer));
  }

  #waitForNext(host: Host): void {
    const { noTrafficIntervalMs = defaultNoTrafficMs } = this.#check;
    if (this.#cluster.hasBeenUsed) this.#wait(host, this.#intervalMs(host));
    else this.#waitForUse(host, this.#cluster.environment.now() + noTrafficIntervalMs);
  }

  /** Looks at every interval whether the cluster is used by now; asks then, or when it is time. */
  #waitForUse(host: Host, until: number): void {
    const left = until - this.#cluster.environment.now();
    this.#wait(host, Math.min(left, this.#intervalMs(host)), () => {
      const isTime = this.#cluster.environment.now() >= until;
      if (isTime || this.#cluster.hasBeenUsed) this.#ask(host);
      else this.#waitForUse(host, until);
    });
  }

  #ask(host: Host): void {
    this.attemptsTotal++;
    const end = this.#probe(host, this.#check.timeoutMs, (result) => {
      if (this.#pending.get(host) !== end) return; // it is not ours any more
      this.#onResult(host, result);
      this.#waitForNext(host);
    });
    this.#pending.set(host, end);
  }

  #onResult(host: Host, result: ProbeResult): void {
    if (result === "failed" || result === "refused") this.failuresTotal++;
    const before = host.checked.isUnwell;
    host.checked = nextHealth(host.checked, result, this.#check);
    const { isUnwell } = host.checked;
    if (isUnwell === before) return;
    const { log } = this.#cluster.environment;
    const fields = { cluster: this.#cluster.name, address: host.key };
    if (isUnwell) log.warn("endpoint fails its health check", fields);
    else log.info("endpoint passes its health check", fields);
    this.#onChange();
  }

  #intervalMs(host: Host): number {
    const { intervalMs, unhealthyIntervalMs, jitterMs = 0, jitterPercent = 0 } = this.#check;
    const base = (host.checked.isUnwell ? unhealthyIntervalMs : undefined) ?? intervalMs;
    return base + this.#random() * (jitterMs + (base * jitterPercent) / 100);
  }
}
