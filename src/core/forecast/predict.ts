/**
 * What a fitted model says: latency at a load and a number of replicas, the curve, the knee, how many are needed.
 *
 * Load at or beyond capacity has no latency; a sentence says so and what would be enough.
 */

import type { CurvePoint, ForecastLatency } from "../../model/forecast.ts";
import type { Outcome } from "../queueing/demand.ts";
import { replicas as respond } from "../queueing/replicas.ts";
import type { Model } from "./fit.ts";

export type Prediction =
  | { readonly kind: "steady"; readonly latency: ForecastLatency; readonly utilisation?: number }
  | { readonly kind: "unbounded"; readonly why: string; readonly utilisation: number };

export function predict(model: Model, requestsPerSecond: number, replicas: number): Prediction {
  if (model.kind === "no-queue") return { kind: "steady", latency: model.latency };
  const outcome = outcomeOf(model, requestsPerSecond, replicas);
  if (outcome.kind === "unbounded")
    return {
      kind: "unbounded",
      why: unboundedSentence(outcome.utilisation, requestsPerSecond, replicas, model),
      utilisation: outcome.utilisation,
    };
  const { added } = model;
  const at = (q: number): number => outcome.quantileMs(q) + added.at(q);
  return {
    kind: "steady",
    utilisation: outcome.utilisation,
    latency: {
      meanMs: outcome.meanResponseMs + added.meanMs,
      p50Ms: at(0.5),
      p90Ms: at(0.9),
      p99Ms: at(0.99),
    },
  };
}

/** Requests per second that so many replicas can finish; undefined where no limit was seen. */
export function saturationOf(model: Model, replicas: number): number | undefined {
  if (model.kind === "no-queue") return undefined;
  const { workers = 1, serviceMs } = model.demand;
  return (replicas * workers * 1000) / serviceMs;
}

const curvePoints = 24;
const lastUtilisation = 0.96;
/** Where there is no saturation to end at, the curve goes to so many times the load that was asked for. */
const flatUpTo = 2;

/** Over load, from nearly none to shortly before saturation. */
export function curveOf(model: Model, asked: number, replicas: number): CurvePoint[] {
  const saturation = saturationOf(model, replicas);
  const end = saturation === undefined ? flatUpTo * asked : lastUtilisation * saturation;
  const points: CurvePoint[] = [];
  for (let i = 1; i <= curvePoints; i++) {
    const requestsPerSecond = (end * i) / curvePoints;
    const point = predict(model, requestsPerSecond, replicas);
    if (point.kind === "unbounded") break;
    const { latency, utilisation } = point;
    points.push({
      requestsPerSecond,
      ...(utilisation === undefined ? {} : { utilisation }),
      p50Ms: latency.p50Ms,
      p99Ms: latency.p99Ms,
    });
  }
  return points;
}

/** The knee is where p99 has grown to so many times what it is unloaded. */
const kneeFactor = 2;

/** Load at which p99 is twice its unloaded value; undefined where no limit was seen. */
export function kneeOf(model: Model, replicas: number): number | undefined {
  const saturation = saturationOf(model, replicas);
  if (saturation === undefined) return undefined;
  let low = 0;
  let high = saturation;
  for (let step = 0; step < 14; step++) {
    const middle = (low + high) / 2;
    if (isBelowKnee(model, middle, replicas)) low = middle;
    else high = middle;
  }
  return low;
}

/** The fewest replicas that keep p99 below the knee at this load; undefined where more than `mostReplicas`. */
export function replicasNeeded(model: Model, requestsPerSecond: number): number | undefined {
  if (model.kind === "no-queue") return 1;
  const mostReplicas = 10_000;
  const one = saturationOf(model, 1) ?? Number.POSITIVE_INFINITY;
  const least = Math.floor(requestsPerSecond / one) + 1;
  if (least > mostReplicas) return undefined;
  let high = least;
  let step = 1;
  while (!isBelowKnee(model, requestsPerSecond, high)) {
    if (high > mostReplicas) return undefined;
    high += step;
    step *= 2;
  }
  let low = Math.max(least - 1, high - step / 2); // not enough, or below the least
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (isBelowKnee(model, requestsPerSecond, middle)) high = middle;
    else low = middle;
  }
  return high;
}

function isBelowKnee(model: Model, requestsPerSecond: number, replicas: number): boolean {
  if (model.kind === "no-queue") return true;
  const loaded = outcomeOf(model, requestsPerSecond, replicas);
  const unloaded = outcomeOf(model, 0, 1);
  if (loaded.kind === "unbounded" || unloaded.kind === "unbounded") return false;
  const added = model.added.at(0.99);
  return loaded.quantileMs(0.99) + added <= kneeFactor * (unloaded.quantileMs(0.99) + added);
}

function outcomeOf(
  model: Extract<Model, { kind: "queue" }>,
  arrivalsPerSecond: number,
  replicas: number,
): Outcome {
  return respond({ ...model.demand, arrivalsPerSecond, replicas });
}

function unboundedSentence(
  utilisation: number,
  requestsPerSecond: number,
  replicas: number,
  model: Model,
): string {
  const needed = Math.floor(requestsPerSecond / (saturationOf(model, 1) ?? 1)) + 1;
  const who = replicas === 1 ? "one replica" : `${replicas} replicas`;
  return `${who} would have ${percent(utilisation)} of the work that can be done: the queue grows for as long as ${rate(requestsPerSecond)} requests per second last, and latency has no bound; at least ${needed} are needed`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function rate(perSecond: number): string {
  return perSecond >= 100 ? String(Math.round(perSecond)) : perSecond.toPrecision(2);
}
