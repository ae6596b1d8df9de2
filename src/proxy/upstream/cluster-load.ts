/**
 * What a cluster has under way, and whether there may be more of it: the user's circuit breakers, and the budget of
 * retries.
 *
 * Whoever begins something asks (`may…`) and counts it, and whoever ends it takes it off again. What is refused is
 * counted here. Hosts whose requests wait for a connection take turns as soon as there may be another one.
 *
 * Not here: the order in which a host's own requests wait (pending.ts), and the ceilings of the whole sidecar
 * (overload.ts).
 */

import type { Cluster } from "../../model/proxy-config.ts";
import type { Host } from "./host.ts";

/**
 * Budget of retries: at most this part of the active requests (Envoy's default), or `minRetries`. Envoy's three would
 * fail requests of a quiet client whose every second connection died with its peer; a storm is still far from sixteen.
 */
const retryShare = 0.2;
const minRetries = 16;

/** What is asked of the cluster: its circuit breakers as they are now, and how many connections there are. */
interface Limited {
  readonly config: Pick<Cluster, "circuitBreakers">;
  readonly connections: number;
}

export class ClusterLoad {
  activeRequests = 0;
  activeRetries = 0;
  pendingRequests = 0;
  retriesTotal = 0;
  overflowsTotal = 0;
  /** Retries that the budget had no room for. */
  retryOverflowsTotal = 0;
  /** Connections that were wanted and could not be had. */
  connectionOverflowsTotal = 0;
  /** Hosts some of whose requests wait for a connection. */
  readonly waiting: Set<Host> = new Set();
  readonly #cluster: Limited;

  constructor(cluster: Limited) {
    this.#cluster = cluster;
  }

  mayRequest(): boolean {
    const { maxRequests } = this.#cluster.config.circuitBreakers;
    const isFull = maxRequests !== undefined && this.activeRequests >= maxRequests;
    if (isFull) this.overflowsTotal++;
    return !isFull;
  }

  // ---- connections -----------------------------------------------------------------------------

  /** Whether one more request may wait for a connection. */
  mayWait(): boolean {
    const { maxPendingRequests } = this.#cluster.config.circuitBreakers;
    const isFull = maxPendingRequests !== undefined && this.pendingRequests >= maxPendingRequests;
    if (isFull) this.overflowsTotal++;
    return !isFull;
  }

  /**
   * Whether there may be one more connection. As in Envoy a host may always have one, or its requests waited for ever.
   */
  mayConnectTo(host: Host): boolean {
    return host.connections === 0 || this.mayConnectTunnel();
  }

  mayConnectTunnel(): boolean {
    if (this.#hasRoom()) return true;
    this.connectionOverflowsTotal++;
    return false;
  }

  #hasRoom(): boolean {
    const { maxConnections } = this.#cluster.config.circuitBreakers;
    return maxConnections === undefined || this.#cluster.connections < maxConnections;
  }

  onConnectionClosed(host: Host): void {
    // The others may hold all that there may be; this one may have one of its own even so (`mayConnectTo`).
    if (host.connections === 0 && this.waiting.has(host)) host.connectForWaiting();
    this.connectForWaiting();
  }

  /** While there is room for another connection, hosts whose requests wait for that take turns. */
  connectForWaiting(): void {
    while (this.waiting.size > 0 && this.#hasRoom()) {
      const [host] = this.waiting;
      if (host === undefined) return;
      this.waiting.delete(host);
      if (host.connectForWaiting()) this.waiting.add(host);
    }
  }

  // ---- retries ---------------------------------------------------------------------------------

  /** Nobody has said how many retries there may be. */
  get hasDefaultBudget(): boolean {
    const { retryBudget, maxRetries } = this.#cluster.config.circuitBreakers;
    return retryBudget === undefined && maxRetries === undefined;
  }

  /** Whether one more retry fits the budget; retries must not multiply the load that made them necessary. */
  mayRetry(): boolean {
    const { retryBudget, maxRetries = Infinity } = this.#cluster.config.circuitBreakers;
    const share = retryBudget === undefined ? retryShare : retryBudget.percent / 100;
    const least = retryBudget === undefined ? minRetries : retryBudget.minConcurrency;
    const budget = Math.max(least, Math.floor(this.activeRequests * share));
    const limit = Math.min(budget, maxRetries);
    if (this.activeRetries < limit) return true;
    this.retryOverflowsTotal++;
    return false;
  }
}
