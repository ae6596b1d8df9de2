/**
 * A fit for services without a sidecar: only what callers saw is known.
 *
 * The service time then follows from the mean and the shape of latencies under a model with one worker per replica
 * (core/queueing/fit.ts). It holds the network for service; a prediction errs on the slow side.
 */

import { type SparseHistogram, upperMs } from "../../base/log-histogram.ts";
import { fitService } from "../queueing/fit.ts";
import type { Bucket } from "../queueing/histogram.ts";
import type { Deployment } from "./deployment.ts";
import type { FittedModel, Unknown } from "./fit.ts";
import type { Seen } from "./window.ts";

export function fitFromOutside(
  seen: Seen,
  seconds: number,
  deployment: Deployment,
): FittedModel | Unknown {
  const { balancing, clients, replicas } = deployment;
  const requestsPerSecond = seen.requests / seconds;
  const fit = fitService(
    {
      arrivalsPerSecond: requestsPerSecond,
      buckets: bucketsOf(seen.durations),
      sumMs: seen.sumMs,
    },
    { replicas, balancing, clients },
  );
  if (fit.kind === "not-fitted") return { kind: "unknown", why: fit.why };
  const { serviceMs, serviceScv } = fit.demand;
  return {
    kind: "fitted",
    model: {
      kind: "queue",
      demand: { balancing, clients, workers: 1, serviceMs, serviceScv },
      added: { meanMs: 0, at: () => 0 },
    },
    fitted: {
      model: fit.response.model,
      seenBy: seen.by,
      replicas,
      workers: 1,
      requestsPerSecond,
      serviceMs,
      serviceScv,
      arrivalScv: 1,
      overheadMs: 0,
      utilisation: fit.response.utilisation,
      requests: seen.requests,
      windowSeconds: seconds,
    },
    notes: [
      "its pods have no sidecar: the service time is inferred from what callers saw, with one worker per replica assumed",
    ],
  };
}

/** Cumulative, as `fitService` takes them. */
function bucketsOf(histogram: SparseHistogram): Bucket[] {
  const buckets: Bucket[] = [];
  let count = 0;
  for (const [bucket, more] of histogram) {
    count += more;
    buckets.push({ upTo: upperMs(bucket), count });
  }
  return [...buckets, { upTo: Number.POSITIVE_INFINITY, count }];
}
