/**
 * The tries of one request: how many there were, where, and whether one is under way.
 *
 * One at a time; it counts towards the limits of its host and cluster from `begin` to `end`. `epoch` changes at both: a
 * connection that was begun for an earlier try sees by it that it is not wanted any more.
 *
 * Two failures are no news to anybody and are made good at once, outside retry policy and budget (`isFreeAgain`): a
 * pooled connection that its peer closed just as it was taken, and a stream that the peer did not look at.
 *
 * Not here: what other failures lead to (`Exchange.onFailure`), and which of them a policy retries (filter/retries.ts).
 */

import type { Timeout } from "../timer-wheel.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import type { Host } from "../upstream/host.ts";
import type { PendingRequests } from "../upstream/pending.ts";
import type { Exchange } from "./exchange.ts";
import type { Head } from "./head.ts";
import type { UpstreamLeg } from "./legs.ts";
import type { Failure } from "./outcome.ts";
import type { RequestRecord } from "./request-record.ts";

/** Sends an exchange upstream once more; the router. */
export type Attempt = (exchange: Exchange) => void;

/** Decides on retries; see filter/retries.ts. */
export interface RetryDecision {
  /** True: another attempt has been arranged, and this outcome is not the answer. */
  afterFailure(exchange: Exchange, failure: Failure): boolean;
  afterHead(exchange: Exchange, head: Head, text: string): boolean;
}

/** Refusals of streams that are not told to anybody: another connection nearly always takes the request. */
const maxRefusals = 2;

export class Tries {
  /** Begun so far, but for those that were made good at once. */
  count = 0;
  /** Changes whenever a try begins or ends: what was started for an earlier one is not ours any more. */
  epoch = 0;
  /** Hosts that had it: others are better. */
  hosts: Host[] | undefined = undefined;
  /** Priorities that the next one is not to go to, and those that had one; where a policy looks at them. */
  priorities: ReadonlySet<number> | undefined = undefined;
  triedPriorities: Set<number> | undefined = undefined;
  /** When the present one began; 0 where its cluster did not measure latency then. */
  startedAt = 0;
  /** The present one, or the one to come, has a place in the cluster's budget of retries. */
  isRetry = false;
  /** How long each may wait for its answer, once the request is whole. */
  limit: Timeout | undefined = undefined;
  limitMs = 0;
  /** Where it waits for a connection. */
  pending: PendingRequests | undefined = undefined;
  #isUnderWay = false;
  #refusals = 0;
  /** It was lost with a reused connection, and went out once more. */
  #hasLostRace = false;

  /** An endpoint has it or is being connected to: it does not wait for a connection that others have. */
  get isAtHost(): boolean {
    return this.#isUnderWay && this.pending === undefined;
  }

  begin(exchange: Exchange, host: Host): void {
    const { cluster, downstream } = exchange;
    this.count++;
    this.epoch++;
    this.#isUnderWay = true;
    host.active++;
    const { environment } = downstream;
    if (cluster !== undefined) {
      cluster.load.activeRequests++;
      this.startedAt = cluster.measuresLatency ? environment.now() : 0;
    }
    if (exchange.isRequestDone) this.startLimit(exchange);
  }

  /** The request is whole: the try that is under way, if one is, may take so long from now on. */
  startLimit({ downstream }: RequestRecord): void {
    if (this.limit === undefined || !this.#isUnderWay) return;
    downstream.environment.wheel.arm(this.limit, this.limitMs);
  }

  end(exchange: Exchange): void {
    this.pending?.leave(exchange); // a health check waits there without being a try
    if (!this.#isUnderWay) return;
    this.#isUnderWay = false;
    this.epoch++;
    const { host, cluster } = exchange;
    if (host !== undefined) host.active--;
    if (cluster !== undefined) {
      cluster.load.activeRequests--;
      this.endRetry(cluster);
    }
    if (this.limit !== undefined) exchange.downstream.environment.wheel.cancel(this.limit);
  }

  /** The try had no chance: as if it had not been. A retry keeps its place in the budget for the one that follows. */
  takeBack(exchange: Exchange): void {
    const { isRetry } = this;
    this.isRetry = false;
    this.end(exchange);
    this.isRetry = isRetry;
    this.count--;
  }

  /** Gives its place in the budget of retries back. */
  endRetry(cluster: ClusterRuntime): void {
    if (!this.isRetry) return;
    this.isRetry = false;
    cluster.load.activeRetries--;
  }

  /**
   * Whether the try that failed so may be made good at once, as if it had not been; each time it says yes, it counts.
   */
  isFreeAgain(exchange: Exchange, failure: Failure, upstream: UpstreamLeg | undefined): boolean {
    if (!exchange.canReplay || exchange.attempt === undefined) return false;
    if (failure === "refused") return this.#refusals++ < maxRefusals; // RFC 9113 §8.7: the endpoint did not look at it
    // RFC 9112 §9.3.1: the peer closed an idle connection just as we took it; nothing of this request was read. Once
    // only: a request that breaks every connection it is given would go round for ever, outside every budget.
    const isRace = failure === "reset" && upstream?.isReused === true && exchange.mayRunTwice;
    if (!isRace || this.#hasLostRace) return false;
    this.#hasLostRace = true;
    return true;
  }
}
