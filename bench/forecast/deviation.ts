/** How far a prediction is from what came: relative errors of one run, by who measured. */

import type { Deployment } from "../../src/core/forecast/deployment.ts";
import { fitWindow } from "../../src/core/forecast/fit.ts";
import { judge } from "../../src/core/forecast/judge.ts";
import { predict } from "../../src/core/forecast/predict.ts";
import { latencyOf, type ServiceWindow, seenIn } from "../../src/core/forecast/window.ts";
import { sampleQuantile } from "../../src/lab/load/report.ts";
import type { ForecastLatency } from "../../src/model/forecast.ts";

/** One run of one scenario. */
export interface Observed {
  readonly name: string;
  readonly deployment: Deployment;
  readonly first: ServiceWindow;
  readonly second: ServiceWindow;
  /** Latencies of the second half as the client measured them, ms. */
  readonly client: readonly number[];
}

export interface Errors {
  readonly p50: number;
  readonly p99: number;
}

export interface Deviation extends Errors {
  readonly predicted: ForecastLatency;
  readonly measured: ForecastLatency;
  /** Against what the client measured by itself. */
  readonly client: Errors;
  /** Predicted for the load of the first half, as if nothing were known of the second. */
  readonly unaware: Errors;
  /** Of expecting the second half to be as the first. */
  readonly persistence: Errors;
  readonly fitted: {
    readonly model: string;
    readonly serviceMs: number;
    readonly serviceScv: number;
  };
  readonly loads: readonly [first: number, second: number];
}

export function deviationsOf({ name, deployment, first, second, client }: Observed): Deviation {
  const judged = judge(first, second, deployment);
  const fit = fitWindow(first, deployment);
  const before = latencyOf(seenIn(first));
  if (judged === undefined || fit.kind === "unknown" || before === undefined)
    throw new Error(`${name}: ${fit.kind === "unknown" ? fit.why : "nothing to judge"}`);
  const { predicted, measured, requestsPerSecond } = judged;
  const unaware = predict(fit.model, fit.fitted.requestsPerSecond, deployment.replicas);
  const { model, serviceMs, serviceScv } = fit.fitted;
  return {
    ...errors(predicted, measured),
    predicted: rounded(predicted),
    measured: rounded(measured),
    client: errors(predicted, {
      p50Ms: sampleQuantile(0.5, client) ?? 0,
      p99Ms: sampleQuantile(0.99, client) ?? 0,
    }),
    unaware: unaware.kind === "steady" ? errors(unaware.latency, measured) : { p50: 1, p99: 1 },
    persistence: errors(before, measured),
    fitted: { model, serviceMs: round(serviceMs), serviceScv: round(serviceScv) },
    loads: [round(fit.fitted.requestsPerSecond), round(requestsPerSecond)],
  };
}

type Quantiles = Pick<ForecastLatency, "p50Ms" | "p99Ms">;

function errors(predicted: Quantiles, measured: Quantiles): Errors {
  const of = (key: keyof Quantiles): number =>
    round(Math.abs(predicted[key] - measured[key]) / measured[key]);
  return { p50: of("p50Ms"), p99: of("p99Ms") };
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return sorted.length % 2 === 1 ? middle : (middle + (sorted[sorted.length / 2 - 1] ?? 0)) / 2;
}

function rounded({ meanMs, p50Ms, p90Ms, p99Ms }: ForecastLatency): ForecastLatency {
  return {
    meanMs: round(meanMs),
    p50Ms: round(p50Ms),
    p90Ms: round(p90Ms),
    p99Ms: round(p99Ms),
  };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
