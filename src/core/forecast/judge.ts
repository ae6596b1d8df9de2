/**
 * Predictions held against what then happened: a model fitted to one window is asked about the load of the next.
 *
 * It is told the load that came, since what it promises is the latency at a load, not the load.
 */

import type { Forecast, Judged } from "../../model/forecast.ts";
import type { Deployment } from "./deployment.ts";
import { fitWindow } from "./fit.ts";
import { predict } from "./predict.ts";
import { latencyOf, type ServiceWindow, secondsOf, seenIn, servedIn } from "./window.ts";

/** Fewer say little of a p99. */
const fewestJudged = 100;

/** Undefined where one of the windows says too little, or the load of the second has no bounded prediction. */
export function judge(
  before: ServiceWindow,
  after: ServiceWindow,
  deployment: Deployment,
): Judged | undefined {
  const seen = seenIn(after);
  const measured = latencyOf(seen);
  if (seen.requests < fewestJudged || measured === undefined) return undefined;
  const fit = fitWindow(before, deployment);
  if (fit.kind === "unknown" || fit.fitted.requests < fewestJudged) return undefined;
  const served = servedIn(after).requests;
  const requestsPerSecond = (served > 0 ? served : seen.requests) / secondsOf(after);
  const prediction = predict(fit.model, requestsPerSecond, deployment.replicas);
  if (prediction.kind === "unbounded") return undefined;
  return { at: after.to, requestsPerSecond, predicted: prediction.latency, measured };
}

/** Mean of |predicted − measured| / measured; undefined of none. */
export function errorsOf(judged: readonly Judged[]): Forecast["errors"] {
  if (judged.length === 0) return undefined;
  const mean = (of: "p50Ms" | "p99Ms"): number =>
    judged.reduce(
      (sum, { predicted, measured }) => sum + Math.abs(predicted[of] - measured[of]) / measured[of],
      0,
    ) / judged.length;
  return { p50Share: mean("p50Ms"), p99Share: mean("p99Ms") };
}
