/**
 * From a window of live traffic to a model that can be asked about other loads and numbers of replicas.
 *
 * The service time is not guessed from latencies. Where one worker serves in order, the sidecar has measured each
 * (S = D − max(A, previous D)); with several, requests that found a free one were served at once, and their responses
 * are service times; where no limit was seen, all are. What remains, the wait, is the model's to say.
 *
 * A request that finds the worker idle takes one hop more than its service: to the application and back. That of one
 * that waited is over before it is served. So the two groups' means differ by the hop, which is no time of the worker.
 *
 * What callers see beyond that (network, two proxies, TLS) is taken quantile by quantile from the same window, since
 * both ends measured the same requests: it is small, and has a tail of its own.
 *
 * Estimates of variability are noisy: the SCV of n exponential times is off by 2/√n. So arrivals count as Poisson until
 * that is refuted, and the SCV of service is drawn towards 1 as far as its own noise suggests.
 */

import { lowerMs, quantileMs } from "../../base/log-histogram.ts";
import type { FittedService, ForecastLatency } from "../../model/forecast.ts";
import type { ReplicatedDemand } from "../queueing/replicas.ts";
import type { Deployment } from "./deployment.ts";
import { fitFromOutside } from "./fit-outside.ts";
import {
  type Seen,
  type Served,
  type ServiceWindow,
  secondsOf,
  seenIn,
  servedIn,
} from "./window.ts";
import { inferWorkers, type Workers } from "./workers.ts";

/** What predictions start from. */
export type Model =
  | {
      readonly kind: "queue";
      readonly demand: Omit<ReplicatedDemand, "arrivalsPerSecond" | "replicas">;
      readonly added: Added;
    }
  /** Responses do not depend on the load, as far as it was seen. */
  | { readonly kind: "no-queue"; readonly latency: ForecastLatency };

/** What callers see beyond what the service takes, ms, by quantile. */
export interface Added {
  readonly meanMs: number;
  readonly at: (q: number) => number;
}

export interface FittedModel {
  readonly kind: "fitted";
  readonly model: Model;
  readonly fitted: FittedService;
  readonly notes: readonly string[];
}

export interface Unknown {
  readonly kind: "unknown";
  /** A sentence: what is missing. */
  readonly why: string;
}

const fewestRequests = 20;
/** SCV of the gaps at each of several replicas that least-request alone does not explain. */
const regularBelow = 0.4;
/** Errors of the estimate within which an SCV counts as 1. */
const errorsAllowed = 2.5;
/** How far from 1 the SCV of a service that is called exponential may well be, as its work has constant parts. */
const usualDistance = 0.15;
/** Below it, a spread of a tenth, times count as constant but for the noise of measuring. */
const constantScv = 0.01;

export function fitWindow(window: ServiceWindow, deployment: Deployment): FittedModel | Unknown {
  const { service } = deployment;
  const served = servedIn(window);
  const seen = seenIn(window);
  const seconds = secondsOf(window);
  const requests = Math.max(served.requests, seen.requests);
  const span = `in the last ${Math.round(seconds)} s`;
  if (requests === 0)
    return {
      kind: "unknown",
      why: `no request to ${service} was seen ${span}: there is nothing to fit a model to`,
    };
  if (requests < fewestRequests)
    return {
      kind: "unknown",
      why: `${requests === 1 ? "only one request" : `only ${requests} requests`} to ${service} ${requests === 1 ? "was" : "were"} seen ${span}: a model needs at least ${fewestRequests}`,
    };
  if (deployment.replicas === 0)
    return { kind: "unknown", why: `${service} has no ready endpoint: nobody would answer` };
  if (served.requests < fewestRequests) return fitFromOutside(seen, seconds, deployment);
  return fitServed(served, seen, seconds, deployment);
}

function fitServed(
  served: Served,
  seen: Seen,
  seconds: number,
  deployment: Deployment,
): FittedModel {
  const workers = inferWorkers(served.found);
  const added = addedBy(served, seen);
  const service = serviceTimes(served, workers, added.meanMs);
  const arrivalScv = arrivalScvOf(served, deployment);
  const requestsPerSecond = served.requests / seconds;
  const common = {
    seenBy: seen.by,
    replicas: deployment.replicas,
    requestsPerSecond,
    serviceMs: service.meanMs,
    serviceScv: service.scv,
    arrivalScv,
    overheadMs: added.meanMs + service.hopMs,
    requests: served.requests,
    windowSeconds: seconds,
  };
  const notes = [...workerNotes(workers), ...failureNotes(served)];
  if (workers.kind === "unlimited") {
    const at = (q: number): number => (quantileMs(q, served.responses) ?? 0) + added.at(q);
    const latency = {
      meanMs: service.meanMs + added.meanMs,
      p50Ms: at(0.5),
      p90Ms: at(0.9),
      p99Ms: at(0.99),
    };
    const fitted = { ...common, model: "M/G/∞" };
    return { kind: "fitted", model: { kind: "no-queue", latency }, fitted, notes };
  }
  const count = workers.kind === "seen" ? workers.workers : 1;
  const { balancing, clients, replicas } = deployment;
  const demand = {
    balancing,
    clients,
    workers: count,
    serviceMs: service.meanMs,
    serviceScv: service.scv,
    arrivalScv,
  };
  const fitted = {
    ...common,
    model: nameOf(deployment, count, arrivalScv, service.scv),
    workers: count,
    utilisation: (requestsPerSecond * service.meanMs) / 1000 / (replicas * count),
  };
  const all = {
    meanMs: added.meanMs + service.hopMs,
    at: (q: number) => added.at(q) + service.hopMs,
  };
  return { kind: "fitted", model: { kind: "queue", demand, added: all }, fitted, notes };
}

/** The time that a request keeps a worker, and what it takes to get there. */
interface ServiceTimes {
  readonly meanMs: number;
  readonly scv: number;
  /** To the application and back. */
  readonly hopMs: number;
}

function serviceTimes(served: Served, workers: Workers, usualHopMs: number): ServiceTimes {
  const { requests, responseSumMs, found } = served;
  switch (workers.kind) {
    case "unlimited": {
      const squares = found.reduce((sum, [, , squareSumMs2]) => sum + squareSumMs2, 0);
      return momentsOf(requests, responseSumMs, squares);
    }
    case "seen":
      if (workers.workers > 1) {
        const atOnce = found.slice(0, workers.workers);
        const sum = (part: 0 | 1 | 2): number =>
          atOnce.reduce((total, counts) => total + counts[part], 0);
        return momentsOf(sum(0), sum(1), sum(2));
      }
      return ofOneWorker(served, usualHopMs);
    case "unknown":
      return ofOneWorker(served, usualHopMs);
  }
}

function ofOneWorker(served: Served, usualHopMs: number): ServiceTimes {
  const { requests, serviceSumMs, serviceSquareSumMs2, found } = served;
  const [idle, idleSumMs] = found[0] ?? [0, 0, 0];
  const hopMs = hopOf(served, usualHopMs);
  return {
    ...momentsOf(
      requests,
      serviceSumMs - idle * hopMs,
      serviceSquareSumMs2 - 2 * hopMs * idleSumMs + idle * hopMs * hopMs,
    ),
    hopMs,
  };
}

/**
 * The difference of the two groups' means is exact for constant service and noisy for others. So it is weighed, by its
 * precision, against what a hop between two processes of this pair usually takes; and it is no longer than the shortest
 * response.
 */
function hopOf(served: Served, usualHopMs: number): number {
  const { requests, serviceSumMs, serviceSquareSumMs2, found, responses } = served;
  const [idle, idleSumMs, idleSquareMs2] = found[0] ?? [0, 0, 0];
  const waited = requests - idle;
  if (idle < 2 || waited < 2) return 0;
  const idleMs = idleSumMs / idle;
  const waitedMs = (serviceSumMs - idleSumMs) / waited;
  const variance =
    (idleSquareMs2 / idle - idleMs ** 2) / idle +
    ((serviceSquareSumMs2 - idleSquareMs2) / waited - waitedMs ** 2) / waited;
  const measured = 1 / Math.max(variance, 1e-6);
  const usual = 1 / Math.max(usualHopMs ** 2, 1e-6);
  const hopMs = ((idleMs - waitedMs) * measured + usualHopMs * usual) / (measured + usual);
  return Math.min(Math.max(0, hopMs), lowerMs(responses[0]?.[0] ?? 0));
}

function momentsOf(count: number, sum: number, squareSum: number): ServiceTimes {
  const meanMs = Math.max(sum / count, 0.001); // a service without any time would have no model
  const scv = Math.max(0, squareSum / count / (meanMs * meanMs) - 1);
  return { meanMs, scv: scv < constantScv ? 0 : drawnToOne(scv, count), hopMs: 0 };
}

function drawnToOne(scv: number, count: number): number {
  const noise = (4 * scv * scv) / count;
  return 1 + ((scv - 1) * usualDistance ** 2) / (usualDistance ** 2 + noise);
}

function oneUnlessRefuted(scv: number, count: number): number {
  return Math.abs(scv - 1) <= (errorsAllowed * 2) / Math.sqrt(count) ? 1 : scv;
}

/**
 * SCV of the time between requests to the service, from what each pod saw: a random c-th part of a stream with ca² has
 * 1 + (ca² − 1)/c. Taking turns hides what the stream was; it counts as Poisson.
 */
function arrivalScvOf(served: Served, { balancing, replicas }: Deployment): number {
  const { gaps, gapSumMs, gapSquareSumMs2 } = served;
  if (gaps < fewestRequests || gapSumMs === 0) return 1;
  if (replicas > 1 && balancing === "round-robin") return 1;
  const each = Math.max(0, (gapSquareSumMs2 * gaps) / (gapSumMs * gapSumMs) - 1);
  if (oneUnlessRefuted(each, gaps) === 1) return 1;
  // A balancer that looks at load makes each part more regular than a random one, down to 0.6 for constant service:
  // not the callers' doing. What is below that comes of regular callers.
  if (replicas > 1 && balancing === "least-request") return each < regularBelow ? each : 1;
  return Math.max(0, 1 + (each - 1) * replicas);
}

function addedBy(served: Served, seen: Seen): Added {
  if (seen.by === "service" || seen.requests === 0) return { meanMs: 0, at: () => 0 };
  const meanMs = seen.sumMs / seen.requests - served.responseSumMs / served.requests;
  return {
    meanMs: Math.max(0, meanMs),
    at: (q) =>
      Math.max(0, (quantileMs(q, seen.durations) ?? 0) - (quantileMs(q, served.responses) ?? 0)),
  };
}

/** In Kendall's notation, for people: M for what is close to exponential. */
function nameOf(
  { replicas, balancing }: Deployment,
  workers: number,
  arrivalScv: number,
  serviceScv: number,
): string {
  const arrivals = arrivalScv === 1 ? "M" : "G";
  const service = serviceScv === 0 ? "D" : Math.abs(serviceScv - 1) < usualDistance ? "M" : "G";
  const one = `${arrivals}/${service}/${workers}`;
  return replicas === 1 ? one : `${replicas} × ${one} ${balancing}`;
}

function workerNotes(workers: Workers): string[] {
  switch (workers.kind) {
    case "seen":
      return [];
    case "unlimited":
      return [
        `up to ${workers.others + 1} requests were under way in one replica at a time and did not wait for each other: where it saturates cannot be told from this load`,
      ];
    case "unknown":
      return [
        "requests hardly ever met in one replica: that it serves one at a time is an assumption, and errs on the slow side",
      ];
  }
}

function failureNotes({ requests, failed }: Served): string[] {
  const share = failed / requests;
  if (share < 0.01) return [];
  return [
    `${Math.round(share * 100)} % of the requests failed, and the times of those are among what was fitted`,
  ];
}
