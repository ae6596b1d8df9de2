/**
 * Outliers by statistics of one interval: hosts that do worse than the others, or than they may.
 *
 * A row of consecutive failures misses partial ones: with every fifth request failing, five in a row take thousands of
 * requests. Success rate compares (mean − deviations × standard deviation, Envoy's rule), so it sees one bad host among
 * good ones and none when all are bad; failure percentage does not compare.
 */

import type { OutlierDetection, OutlierStatistics } from "../../model/proxy-config.ts";
import type { Watched } from "./outlier.ts";

/** Of hosts that are in use. Each may be named twice. */
export function statisticalOutliers<H extends Watched>(
  config: OutlierDetection,
  hosts: readonly H[],
): readonly H[] {
  const { successRate, failurePercentage } = config;
  const outliers: H[] = [];
  if (successRate !== undefined) {
    const judged = enoughSaid(hosts, successRate);
    const rates = judged.map(rateOf);
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
    const least = mean - successRate.deviations * Math.sqrt(variance);
    outliers.push(...judged.filter((host) => rateOf(host) < least));
  }
  if (failurePercentage !== undefined) {
    const most = failurePercentage.percent / 100;
    const judged = enoughSaid(hosts, failurePercentage);
    outliers.push(...judged.filter((host) => 1 - rateOf(host) >= most));
  }
  return outliers;
}

function enoughSaid<H extends Watched>(hosts: readonly H[], wanted: OutlierStatistics): H[] {
  const judged = hosts.filter(
    ({ health }) => health.ejectedUntil === 0 && health.requests >= wanted.minimumRequests,
  );
  return judged.length >= wanted.minimumHosts ? judged : [];
}

function rateOf({ health }: Watched): number {
  return health.requests === 0 ? 1 : 1 - health.failures / health.requests;
}
