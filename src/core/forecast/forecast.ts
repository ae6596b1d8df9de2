/**
 * A service's forecast: what was fitted, what it says of the load that is asked about, and how right it has been.
 *
 * Pure: windows of live traffic and facts of the deployment go in, with what was judged so far. The same answer serves
 * the command line and the dashboard.
 */

import type { Forecast, Judged, RecoveryJudged } from "../../model/forecast.ts";
import type { Deployment } from "./deployment.ts";
import { type FittedModel, fitWindow } from "./fit.ts";
import { errorsOf } from "./judge.ts";
import {
  curveOf,
  kneeOf,
  type Prediction,
  predict,
  replicasNeeded,
  saturationOf,
} from "./predict.ts";
import type { Question } from "./question.ts";
import { recoveryOf } from "./recovery.ts";
import { latencyOf, type ServiceWindow, secondsOf, seenIn, servedIn } from "./window.ts";

export interface ForecastInput {
  /** Ms since the epoch. */
  readonly at: number;
  readonly deployment: Deployment;
  /** What the model is fitted to; undefined before anything was seen. */
  readonly window?: ServiceWindow;
  /** The most recent part of it, for the live point. */
  readonly latest?: ServiceWindow;
  readonly judged: readonly Judged[];
  readonly recoveries: readonly RecoveryJudged[];
}

export function forecast(input: ForecastInput, question: Question): Forecast {
  const { at, deployment, window, judged, recoveries } = input;
  const errors = errorsOf(judged);
  const past = { judged, recoveries, ...(errors === undefined ? {} : { errors }) };
  const base = { service: deployment.service, at, notes: [], curve: [], ...past };
  if (window === undefined) {
    const unknown = `no request to ${deployment.service} was seen yet: there is nothing to fit a model to`;
    return { ...base, unknown };
  }
  const fit = fitWindow(window, deployment);
  if (fit.kind === "unknown") return { ...base, unknown: fit.why };
  return { ...base, ...answer(fit, deployment, question), ...liveOf(input.latest ?? window) };
}

function answer(
  { model, fitted, notes }: FittedModel,
  deployment: Deployment,
  { load, replicas = deployment.replicas }: Question,
): Omit<Forecast, "service" | "at" | "judged" | "recoveries"> {
  const live = fitted.requestsPerSecond;
  const requestsPerSecond =
    load === undefined ? live : load.kind === "times" ? load.factor * live : load.requestsPerSecond;
  const asked = predict(model, requestsPerSecond, replicas);
  const knee = kneeOf(model, replicas);
  const saturation = saturationOf(model, replicas);
  const needed = replicasNeeded(model, requestsPerSecond);
  const recovery = recoveryOf(deployment, fitted);
  return {
    notes: recovery.kind === "forecast" ? notes : [...notes, recovery.why],
    fitted,
    asked: { requestsPerSecond, replicas, ...said(asked), ...utilisationOf(asked) },
    curve: curveOf(model, requestsPerSecond, replicas),
    ...(knee === undefined ? {} : { kneeRequestsPerSecond: knee }),
    ...(saturation === undefined ? {} : { saturationRequestsPerSecond: saturation }),
    ...(needed === undefined ? {} : { replicasNeeded: needed }),
    withoutOneReplica:
      replicas === 1
        ? { unbounded: "it is the only replica: nobody would answer" }
        : said(predict(model, requestsPerSecond, replicas - 1)),
    ...(recovery.kind === "forecast" ? { recovery: recovery.forecast } : {}),
  };
}

function said(
  prediction: Prediction,
): Pick<NonNullable<Forecast["asked"]>, "latency" | "unbounded"> {
  return prediction.kind === "steady"
    ? { latency: prediction.latency }
    : { unbounded: prediction.why };
}

function utilisationOf({ utilisation }: Prediction): { readonly utilisation?: number } {
  return utilisation === undefined ? {} : { utilisation };
}

function liveOf(window: ServiceWindow): Pick<Forecast, "live"> {
  const seen = seenIn(window);
  const latency = latencyOf(seen);
  if (latency === undefined) return {};
  const served = servedIn(window).requests;
  const requestsPerSecond = (served > 0 ? served : seen.requests) / secondsOf(window);
  return { live: { requestsPerSecond, latency } };
}
