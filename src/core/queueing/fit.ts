/**
 * From what was observed of a service to the numbers of its model.
 *
 * What one window can tell: with arrivals, replicas and the SCV known, the mean response rises strictly with the
 * service time, from the overhead to infinity at saturation, so the observed mean fixes the service time (method of
 * moments). The median does as well, and is not moved by a few outliers, but is only as good as the buckets are narrow.
 * The SCV shows in the shape: the likeliest of a few candidates given the bucket counts, if at least three buckets are
 * occupied; else it stays an assumption, and the fit says so. What one window cannot tell: overhead (network, proxies)
 * from service time, since both only shift; two windows of different load can (`fitOverhead`), since only service
 * queues.
 *
 * Under low load the service time is the latency less the overhead; near saturation it is hardly more than
 * replicas / arrivals, and says little about the rest.
 */

import { MeshError, present } from "../../base/error.ts";
import { above, atLeast, type Steady } from "./demand.ts";
import { ascending, type Bucket, quantile, throughBuckets } from "./histogram.ts";
import { type ReplicatedDemand, replicas } from "./replicas.ts";

/** What was seen of a service in one window. */
export interface Observation {
  readonly arrivalsPerSecond: number;
  /** Cumulative latency buckets of the window, in ms. */
  readonly buckets: readonly Bucket[];
  /** Sum of the latencies (`_sum` of the histogram); the buckets' estimate is used where it is not known. */
  readonly sumMs?: number;
}

/** What is known without looking at latencies. */
export interface Deployment
  extends Pick<ReplicatedDemand, "replicas" | "balancing" | "workers" | "clients" | "overheadMs"> {
  /** Known or assumed; taken from the shape of the histogram where it is not given. */
  readonly serviceScv?: number;
}

export interface Fitted {
  readonly kind: "fitted";
  /** The model's input: change arrivals or replicas in it to ask what would be. */
  readonly demand: ReplicatedDemand;
  /** What the model says of the window it was fitted to. */
  readonly response: Steady;
  readonly requests: number;
  readonly observedMeanMs: number;
  /** Where the SCV is from. */
  readonly scvFrom: "given" | "shape" | "assumed";
}

/** Nothing to fit: `why` is a sentence for people. */
export interface NotFitted {
  readonly kind: "not-fitted";
  readonly why: string;
}

export type Fit = Fitted | NotFitted;

/** The SCVs that a shape is compared with: constant with less and more noise, Erlang, exponential (1), more spread. */
const candidateScvs = [0, 0.01, 0.03, 0.1, 0.25, 0.5, 1, 2, 4];
/** Few buckets or few requests say nothing of the shape; exponential errs on the slow side for most services. */
const assumedScv = 1;
const fewestRequests = 20;
const fewestOccupied = 3;

/** Fits the mean service time (ms) and the SCV to one window, by the mean or by the median of its latencies. */
export function fitService(
  observation: Observation,
  deployment: Deployment,
  by: "mean" | "median" = "mean",
): Fit {
  const { arrivalsPerSecond } = observation;
  atLeast("arrivals per second", arrivalsPerSecond, 0);
  const buckets = ascending(observation.buckets);
  const requests = buckets.at(-1)?.count ?? 0;
  if (requests === 0) return { kind: "not-fitted", why: "no requests were observed yet" };
  if (requests < fewestRequests) {
    return {
      kind: "not-fitted",
      why: `only ${requests} requests were observed, at least ${fewestRequests} are needed`,
    };
  }
  const observedMeanMs =
    observation.sumMs === undefined ? meanOf(buckets) : observation.sumMs / requests;
  const target = by === "mean" ? observedMeanMs : (quantile(0.5, buckets) ?? 0);
  if (target <= (deployment.overheadMs ?? 0)) {
    return {
      kind: "not-fitted",
      why: `responses take ${round(target)} ms, no more than the overhead of ${deployment.overheadMs ?? 0} ms, which leaves no time for the service`,
    };
  }
  const bounds = buckets.map(({ upTo }) => upTo);
  const solve = (serviceScv: number): Fitted => {
    const demand = solveServiceMs(
      { ...deployment, arrivalsPerSecond, serviceScv, serviceMs: 1 },
      target,
      by === "mean"
        ? (response) => response.meanResponseMs
        : (response) => quantile(0.5, throughBuckets(response, bounds)) ?? 0,
    );
    const response = steady(demand);
    const scvFrom = deployment.serviceScv === undefined ? "shape" : "given";
    return { kind: "fitted", demand, response, requests, observedMeanMs, scvFrom };
  };
  if (deployment.serviceScv !== undefined) return solve(deployment.serviceScv);
  const occupied = perBucket(buckets).filter((count) => count > 0).length;
  if (occupied < fewestOccupied) return { ...solve(assumedScv), scvFrom: "assumed" };
  return likeliest(candidateScvs, solve, buckets);
}

/**
 * The overhead (ms) with which two windows of different load agree on the service time: the busier one is the slower
 * only by queueing. 0 where they agree without any, or where the loads are too alike to tell.
 */
export function fitOverhead(
  [quiet, busy]: readonly [Observation, Observation],
  deployment: Deployment & { readonly serviceScv: number },
): number {
  const serviceMs = (observation: Observation, overheadMs: number): number => {
    const fit = fitService(observation, { ...deployment, overheadMs });
    return fit.kind === "fitted" ? fit.demand.serviceMs : 0;
  };
  const excess = (overheadMs: number): number =>
    serviceMs(busy, overheadMs) - serviceMs(quiet, overheadMs);
  const meanMs = (of: Observation): number =>
    of.sumMs === undefined
      ? meanOf(of.buckets)
      : of.sumMs / (ascending(of.buckets).at(-1)?.count || 1);
  let low = 0;
  let high = 0.999 * Math.min(meanMs(quiet), meanMs(busy));
  if (!(excess(low) < 0 && excess(high) > 0)) return 0;
  while (high - low > 1e-4 * high) {
    const middle = (low + high) / 2;
    if (excess(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The service time with which `measure` of the model's response is `target`: it rises with the service time. */
function solveServiceMs(
  demand: ReplicatedDemand,
  target: number,
  measure: (response: Steady) => number,
): ReplicatedDemand {
  above("the observed latency in ms", target, 0);
  const servers = demand.replicas * (demand.workers ?? 1);
  // Above neither: service takes no longer than the response (which a median may be far below), nor than capacity
  // allows.
  const capacityMs =
    demand.arrivalsPerSecond === 0
      ? Number.POSITIVE_INFINITY
      : (1000 * servers) / demand.arrivalsPerSecond;
  let low = 0;
  let high = Math.min(100 * target, capacityMs * (1 - 1e-9));
  while (high - low > 1e-9 * high) {
    const middle = (low + high) / 2;
    if (measure(steady({ ...demand, serviceMs: middle })) < target) low = middle;
    else high = middle;
  }
  return { ...demand, serviceMs: low };
}

function steady(demand: ReplicatedDemand): Steady {
  const outcome = replicas(demand);
  if (outcome.kind === "steady") return outcome;
  throw new MeshError(
    "heddle.assumption",
    `fitted a service time of ${demand.serviceMs} ms, which is beyond capacity`,
  );
}

/**
 * The fit under which the bucket counts are most probable (multinomial), of candidates in ascending order. The
 * likelihood rises to one peak and falls, so the search ends after two that are worse than the best.
 */
function likeliest(
  candidates: readonly number[],
  solve: (scv: number) => Fitted,
  buckets: readonly Bucket[],
): Fitted {
  let best: { fit: Fitted; score: number } | undefined;
  let worse = 0;
  for (const candidate of candidates) {
    const fit = solve(candidate);
    // Constant service puts most responses at one point; where that lies at a bound, a percent of error in the
    // service time would move them all to the next bucket and refute a right shape.
    const nudges = candidate === 0 ? [0.96, 0.98, 1, 1.02, 1.04] : [1];
    const score = Math.max(...nudges.map((nudge) => logLikelihood(fit.response, buckets, nudge)));
    if (best === undefined || score > best.score) {
      best = { fit, score };
      worse = 0;
    } else if (++worse === 2) break;
  }
  return present(best, "an SCV to choose from").fit;
}

function logLikelihood(response: Steady, buckets: readonly Bucket[], nudge: number): number {
  const stray = 1e-3; // share of responses that no model explains: one outlier must not decide
  const shares = perBucket(
    throughBuckets(
      response,
      buckets.map(({ upTo }) => upTo * nudge),
    ),
  );
  let score = 0;
  for (const [i, count] of perBucket(buckets).entries()) {
    const share = (1 - stray) * Math.max(0, shares[i] ?? 0) + stray / buckets.length;
    if (count > 0) score += count * Math.log(share);
  }
  return score;
}

function perBucket(buckets: readonly Bucket[]): number[] {
  return buckets.map(({ count }, i) => count - (buckets[i - 1]?.count ?? 0));
}

/** Each observation at the middle of its bucket; those beyond the last bound at that bound. */
function meanOf(buckets: readonly Bucket[]): number {
  const sorted = ascending(buckets);
  const counts = perBucket(sorted);
  let sum = 0;
  for (const [i, { upTo }] of sorted.entries()) {
    const from = sorted[i - 1]?.upTo ?? 0;
    sum += (counts[i] ?? 0) * (upTo === Number.POSITIVE_INFINITY ? from : (from + upTo) / 2);
  }
  return sum / (sorted.at(-1)?.count || 1);
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
