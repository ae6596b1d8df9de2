/**
 * What the pod's application serves, measured so that a queueing model can be fitted: response times, utilisation, the
 * spread of arrivals, and the service times that a single worker must have had.
 *
 * Service times cannot be seen from outside, but they follow exactly where one worker serves in order of arrival: it
 * took up a request when that had arrived and the one before had left, so S = D − max(A, previous D). Whether that
 * holds is not decided here; where several are served at a time these times are too short, and busy time and in-flight
 * integral say so.
 *
 * Requests that are refused before the application, and protocol switches, are not served and do not count.
 */

import { LogHistogram } from "../../base/log-histogram.ts";
import type { FoundCounts, ServingCounts } from "../../model/observation.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";

/** Services of one pod that are told apart; a pod is behind one or two. */
const maxServices = 64;
/** Requests under way that are told apart when one more arrives; the last stands for all beyond. */
const mostFound = 32;

/** One Service's requests. Instants are the sidecar's monotonic ms. */
export class ServingTally {
  readonly pod: string;
  readonly service: string;
  readonly #responses = new LogHistogram();
  readonly #services = new LogHistogram();
  #requests = 0;
  #failed = 0;
  #responseSumMs = 0;
  #serviceSumMs = 0;
  #serviceSquareSumMs2 = 0;
  #busyMs = 0;
  #inFlightMs = 0;
  #gaps = 0;
  #gapSumMs = 0;
  #gapSquareSumMs2 = 0;
  #inFlight = 0;
  /** Until when busy time and in-flight integral are added up. */
  #countedUntil = 0;
  /** By number found: requests, sum and sum of squares of their responses. */
  readonly #found = new Float64Array(3 * (mostFound + 1));
  #lastArrival: number | undefined;
  #lastDeparture = Number.NEGATIVE_INFINITY;

  constructor(pod: string, service: string) {
    this.pod = pod;
    this.service = service;
  }

  /** Gives how many were under way, which the departure is to be told. */
  arrive(at: number): number {
    this.#countUntil(at);
    const found = this.#inFlight++;
    if (this.#lastArrival !== undefined) {
      const gap = at - this.#lastArrival;
      this.#gaps++;
      this.#gapSumMs += gap;
      this.#gapSquareSumMs2 += gap * gap;
    }
    this.#lastArrival = at;
    return found;
  }

  depart(arrivedAt: number, at: number, found: number, hasFailed: boolean): void {
    this.#countUntil(at);
    this.#inFlight--;
    this.#requests++;
    if (hasFailed) this.#failed++;
    const responseMs = at - arrivedAt;
    this.#responses.observe(responseMs);
    this.#responseSumMs += responseMs;
    this.#foundBy(Math.min(found, mostFound), responseMs);
    const serviceMs = at - Math.max(arrivedAt, this.#lastDeparture);
    this.#lastDeparture = at;
    this.#services.observe(serviceMs);
    this.#serviceSumMs += serviceMs;
    this.#serviceSquareSumMs2 += serviceMs * serviceMs;
  }

  counts(now: number): ServingCounts {
    this.#countUntil(now);
    return {
      pod: this.pod,
      service: this.service,
      requests: this.#requests,
      failed: this.#failed,
      responses: this.#responses.sparse(),
      responseSumMs: this.#responseSumMs,
      busyMs: this.#busyMs,
      inFlightMs: this.#inFlightMs,
      gaps: this.#gaps,
      gapSumMs: this.#gapSumMs,
      gapSquareSumMs2: this.#gapSquareSumMs2,
      services: this.#services.sparse(),
      serviceSumMs: this.#serviceSumMs,
      serviceSquareSumMs2: this.#serviceSquareSumMs2,
      found: this.#foundCounts(),
    };
  }

  #foundBy(found: number, responseMs: number): void {
    const at = 3 * found;
    const counts = this.#found;
    counts[at] = (counts[at] ?? 0) + 1;
    counts[at + 1] = (counts[at + 1] ?? 0) + responseMs;
    counts[at + 2] = (counts[at + 2] ?? 0) + responseMs * responseMs;
  }

  #foundCounts(): FoundCounts[] {
    const levels: FoundCounts[] = [];
    let last = 0;
    for (let at = 0; at < this.#found.length; at += 3) {
      const [requests = 0, sumMs = 0, squareSumMs2 = 0] = this.#found.subarray(at, at + 3);
      levels.push([requests, sumMs, squareSumMs2]);
      if (requests > 0) last = levels.length;
    }
    return levels.slice(0, last);
  }

  #countUntil(now: number): void {
    if (this.#inFlight > 0 && now > this.#countedUntil) {
      const span = now - this.#countedUntil;
      this.#busyMs += span;
      this.#inFlightMs += span * this.#inFlight;
    }
    if (now > this.#countedUntil) this.#countedUntil = now;
  }
}

/** The tallies of one pod, by Service. */
export class Servings {
  readonly #pod: string;
  readonly #now: () => number;
  readonly #tallies = new Map<string, ServingTally>();
  /** So that a request finds its tally without composing a name; a cluster that goes takes its entry with it. */
  readonly #byCluster = new WeakMap<ClusterRuntime, ServingTally>();

  /** `pod` is `namespace/pod`; `now` the clock that exchanges are timed by. */
  constructor(pod: string, now: () => number) {
    this.#pod = pod;
    this.#now = now;
  }

  /** The request was let in and is on its way to the application. */
  arrive(exchange: Exchange): void {
    const { cluster } = exchange;
    if (cluster === undefined || exchange.isOver || exchange.wantsUpgrade) return;
    exchange.foundUnderWay = this.#of(cluster).arrive(exchange.startedAt);
    exchange.atEnd(this.#depart);
  }

  readonly #depart = (exchange: Exchange): void => {
    const { cluster, startedAt, endedAt, foundUnderWay } = exchange;
    const status = exchange.outcome(exchange.status);
    if (cluster === undefined) return;
    const { flag } = exchange;
    const hasFailed = status >= 500 || status === 0 || flag === "UC" || flag === "UR";
    this.#of(cluster).depart(startedAt, endedAt, foundUnderWay, hasFailed);
  };

  counts(): ServingCounts[] {
    const now = this.#now();
    return [...this.#tallies.values()].map((tally) => tally.counts(now));
  }

  #of(cluster: ClusterRuntime): ServingTally {
    const known = this.#byCluster.get(cluster);
    if (known !== undefined) return known;
    const { service } = cluster.config;
    const wanted = service === undefined ? cluster.name : `${service.namespace}/${service.name}`;
    const name = this.#tallies.size < maxServices ? wanted : "overflow";
    let tally = this.#tallies.get(name);
    if (tally === undefined) {
      tally = new ServingTally(this.#pod, name);
      this.#tallies.set(name, tally);
    }
    this.#byCluster.set(cluster, tally);
    return tally;
  }
}
