/**
 * What the sudden death of one endpoint will cost: how long until every caller has ejected it, and how many requests
 * fail meanwhile, under the outlier detection and the retries that are in force.
 *
 * Each caller's sidecar counts for itself. Of k failures in a row, the requests that it had under way at the endpoint
 * (N: its part of what M/M/c has there) fail at once; the others come one by one, after f failures at the rate r(f).
 * Counted from the first failed attempt, as it is measured, the time has k − max(1, N) stages of mean 1/r(f). They are
 * taken for as long as each other, which makes it Erlang distributed: from the first failure on they nearly are. Several
 * callers: the last of them, each from the death on.
 *
 * Failed attempts of a caller are max(k, N), for all that is under way fails, and those that it sends while the failure
 * that ejects is on its way back. Endpoints chosen by how much they have to do have fewer under way than said at the high
 * end, so that such an interval is rather too wide.
 *
 * A dead endpoint answers at once, so it always looks idle. Until it has failed, least-request picks it more often than
 * its share: of two draws it wins if it is the first, or the second and the first is busy: 1/m · (1 + (1 − 1/m)·β), β
 * the share of others that look busy to one caller. From then on it counts as σ requests (`hostStrain`): it wins if both
 * draws are it, or one is and the other has at least as many under way: 1/m · (1/m + 2·(1 − 1/m)·β^(⌈σ⌉ − 1)).
 *
 * A retry goes to another endpoint but for the chance that five picks in a row are the dead one.
 *
 * Not here: failures that are not total, and slow ones (core/reliability/detection.ts, flapping.ts).
 */

import type { FittedService, RecoveryForecast } from "../../model/forecast.ts";
import { hostStrain } from "../../model/names.ts";
import type { OutlierDetection } from "../../model/proxy-config.ts";
import {
  atStation,
  type Counts,
  meanOf,
  noFewerThan,
  poisson,
  quantileOf,
  sumOf,
  sumOfAlike,
  thinned,
} from "./counts.ts";
import type { Deployment } from "./deployment.ts";

export type Recovery =
  | { readonly kind: "forecast"; readonly forecast: RecoveryForecast }
  /** A sentence: why nothing is promised. */
  | { readonly kind: "unknown"; readonly why: string };

/** Share of deaths that the stated intervals hold for. */
const certainty = 0.98;
/** Picks that a retry makes to avoid endpoints that were tried (Istio's previous-hosts predicate). */
const picksToAvoid = 5;

export function recoveryOf(deployment: Deployment, fitted: FittedService): Recovery {
  const { outliers, replicas, clients, retries } = deployment;
  if (replicas < 2)
    return {
      kind: "unknown",
      why: "its only endpoint cannot be spared: when it dies, every request is lost until it is replaced",
    };
  const consecutive = outliers === undefined ? 0 : consecutiveOf(outliers);
  if (outliers === undefined || consecutive === 0 || outliers.maxEjectionPercent === 0)
    return {
      kind: "unknown",
      why: "no outlier detection is in force: callers go on asking a dead endpoint until its pod is seen to be gone (DestinationRule spec.trafficPolicy.outlierDetection)",
    };
  const perMs = fitted.requestsPerSecond / 1000 / clients;
  if (perMs <= 0) return { kind: "unknown", why: "nobody asks, so nobody would notice a death" };
  const shares = pickedShares(deployment, fitted, consecutive);
  const gapsMs = shares.map((share) => 1 / (perMs * share));
  const underWay = underWayOf(fitted, clients);
  const time = detectionTime({ consecutive, clients, gapsMs, underWay });
  // Sent before the sidecar knew: what is on its way while the last failure comes back.
  const meanwhile = poisson(perMs * (shares[consecutive - 1] ?? 0) * fitted.overheadMs);
  const failed = sumOf(noFewerThan(consecutive, underWay), meanwhile);
  const isLost = retries === 0 ? 1 : (shares[consecutive] ?? 0) ** (picksToAvoid * retries);
  const lost = lostRequests(sumOfAlike(thinned(failed, isLost), clients));
  return {
    kind: "forecast",
    forecast: { ...time, ...lost, certainty, basis: basisOf(outliers, consecutive, deployment) },
  };
}

/** A dead endpoint's failures count for both detectors; the nearer one decides. */
function consecutiveOf({ consecutive5xx, consecutiveGatewayErrors }: OutlierDetection): number {
  const set = [consecutive5xx, consecutiveGatewayErrors].filter((count) => count > 0);
  return set.length === 0 ? 0 : Math.min(...set);
}

/** Requests under way at each of the endpoints that are left, as one caller sees them. */
function othersUnderWay({ replicas, clients }: Deployment, fitted: FittedService): number {
  const each = fitted.requestsPerSecond / 1000 / (replicas - 1);
  if (fitted.utilisation === undefined) return (each * fitted.serviceMs) / clients;
  const busy = Math.min(0.95, (fitted.utilisation * replicas) / (replicas - 1));
  return busy / (1 - busy) / clients;
}

/** The share of requests that go to the dead endpoint after 0, 1, …, `most` failures there. */
function pickedShares(deployment: Deployment, fitted: FittedService, most: number): number[] {
  const even = 1 / deployment.replicas;
  const others = othersUnderWay(deployment, fitted);
  const busy = others / (1 + others);
  return Array.from({ length: most + 1 }, (_, failures) => {
    if (deployment.balancing !== "least-request") return even;
    if (failures === 0) return even * (1 + (1 - even) * busy);
    const strain = 1 + hostStrain.most * (1 - (1 - hostStrain.step) ** failures);
    return even * (even + 2 * (1 - even) * busy ** (Math.ceil(strain) - 1));
  });
}

/** N: what one caller has under way at an endpoint at any moment. */
function underWayOf(fitted: FittedService, clients: number): Counts {
  const { requestsPerSecond, replicas, serviceMs, workers } = fitted;
  const load = (requestsPerSecond * serviceMs) / 1000 / replicas;
  return workers === undefined
    ? poisson(load / clients)
    : thinned(atStation(load, workers), 1 / clients);
}

interface Detecting {
  readonly consecutive: number;
  readonly clients: number;
  /** Mean time between requests to the dead endpoint after 0, 1, … failures there. */
  readonly gapsMs: readonly number[];
  readonly underWay: Counts;
}

function detectionTime(
  detecting: Detecting,
): Pick<RecoveryForecast, "detectMs" | "detectIntervalMs"> {
  const { consecutive, clients, gapsMs, underWay } = detecting;
  const waits = underWay.map((share, n) => {
    const gaps = gapsMs.slice(clients === 1 ? Math.max(1, n) : n, consecutive);
    return { share, stages: gaps.length, gapMs: mean(gaps) };
  });
  // P(detected by t) of one caller; of all of them by independence.
  const byAll = (ms: number): number => {
    const one = waits.reduce(
      (sum, { share, stages, gapMs }) =>
        sum + (stages === 0 ? share : share * atLeast(stages, ms / gapMs)),
      0,
    );
    return one ** clients;
  };
  const side = (1 - certainty) / 2;
  return {
    detectMs: meanUpTo(byAll, timeOf(byAll, 1 - 1e-6)),
    detectIntervalMs: [timeOf(byAll, side), timeOf(byAll, 1 - side)],
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function lostRequests(counts: Counts): Pick<RecoveryForecast, "lostRequests" | "lostInterval"> {
  const side = (1 - certainty) / 2;
  return {
    lostRequests: meanOf(counts),
    lostInterval: [quantileOf(counts, side), quantileOf(counts, 1 - side)],
  };
}

/** P(Poisson(mean) ≥ count). */
function atLeast(count: number, mean: number): number {
  let share = Math.exp(-mean);
  let below = 0;
  for (let n = 0; n < count; n++) {
    below += share;
    share *= mean / (n + 1);
  }
  return Math.max(0, 1 - below);
}

function timeOf(distribution: (t: number) => number, q: number): number {
  if (distribution(0) >= q) return 0;
  let low = 0;
  let high = 1;
  while (distribution(high) < q) high *= 2;
  while (high - low > 1e-6 * high) {
    const middle = (low + high) / 2;
    if (distribution(middle) < q) low = middle;
    else high = middle;
  }
  return high;
}

/** ∫ (1 − F), by the trapezium rule: the functions are smooth. */
function meanUpTo(distribution: (t: number) => number, end: number): number {
  const steps = 400;
  let sum = (1 - distribution(0) + 1 - distribution(end)) / 2;
  for (let i = 1; i < steps; i++) sum += 1 - distribution((end * i) / steps);
  return (sum * end) / steps;
}

function basisOf(
  outliers: OutlierDetection,
  consecutive: number,
  { clients, retries }: Deployment,
): string {
  const who = clients === 1 ? "of the one caller" : `of each of ${clients} callers`;
  const failures = consecutive === 1 ? "one failure" : `${consecutive} failures in a row`;
  const again =
    retries === 0
      ? "no retries"
      : `${retries === 1 ? "one retry" : `${retries} retries`}, on another endpoint`;
  return `${failures} ${who} eject for ${outliers.baseEjectionMs / 1000} s; ${again}`;
}
