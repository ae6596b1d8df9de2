/**
 * Outlier detection. A detector that is off travels with an enforcement of 0, as Istio writes it.
 *
 * Statuses that count as failures have no field of their own in Envoy's message; they travel in cluster metadata
 * (`heddle.failure_statuses`), and an Envoy judges by 5xx.
 */

import type { OutlierDetection } from "../../model/proxy-config.ts";
import { decodeDuration, encodeDuration, given, wrappedNumber } from "./field.ts";
import type * as wire from "./gen/message-types.ts";

const enforced = (isOn: boolean): wire.UInt32Value => ({ value: isOn ? 100 : 0 });

export function encodeOutliers(outliers: OutlierDetection): wire.OutlierDetection {
  const { consecutiveLocalOrigin: local, successRate, failurePercentage } = outliers;
  return {
    consecutive5xx: { value: outliers.consecutive5xx },
    enforcingConsecutive5xx: enforced(outliers.consecutive5xx > 0),
    consecutiveGatewayFailure: { value: outliers.consecutiveGatewayErrors },
    enforcingConsecutiveGatewayFailure: enforced(outliers.consecutiveGatewayErrors > 0),
    ...(local === undefined
      ? {}
      : {
          splitExternalLocalOriginErrors: true,
          consecutiveLocalOriginFailure: { value: local },
          enforcingConsecutiveLocalOriginFailure: enforced(local > 0),
        }),
    enforcingSuccessRate: enforced(successRate !== undefined),
    ...(successRate && {
      successRateMinimumHosts: { value: successRate.minimumHosts },
      successRateRequestVolume: { value: successRate.minimumRequests },
      successRateStdevFactor: { value: Math.round(successRate.deviations * 1000) },
    }),
    ...(failurePercentage && {
      enforcingFailurePercentage: enforced(true),
      failurePercentageThreshold: { value: failurePercentage.percent },
      failurePercentageMinimumHosts: { value: failurePercentage.minimumHosts },
      failurePercentageRequestVolume: { value: failurePercentage.minimumRequests },
    }),
    interval: encodeDuration(outliers.intervalMs),
    baseEjectionTime: encodeDuration(outliers.baseEjectionMs),
    maxEjectionPercent: { value: outliers.maxEjectionPercent },
  };
}

/** Envoy's defaults where a field is not said. */
export function decodeOutliers(
  outliers: wire.OutlierDetection,
  failureStatuses: readonly number[] | undefined,
): OutlierDetection {
  const detector = (
    enforcing: wire.UInt32Value | undefined,
    byDefault: number,
    count: wire.UInt32Value | undefined,
  ): number => (wrappedNumber(enforcing, byDefault) === 0 ? 0 : wrappedNumber(count, 5));
  const gateway = outliers.enforcingConsecutiveGatewayFailure;
  const local = outliers.enforcingConsecutiveLocalOriginFailure;
  return {
    consecutive5xx: detector(outliers.enforcingConsecutive5xx, 100, outliers.consecutive5xx),
    consecutiveGatewayErrors: detector(gateway, 0, outliers.consecutiveGatewayFailure),
    ...(outliers.splitExternalLocalOriginErrors === true
      ? { consecutiveLocalOrigin: detector(local, 100, outliers.consecutiveLocalOriginFailure) }
      : {}),
    ...given("failureStatuses", failureStatuses),
    ...given("successRate", decodeSuccessRate(outliers)),
    ...given("failurePercentage", decodeFailurePercentage(outliers)),
    intervalMs: decodeDuration(outliers.interval) ?? 10_000,
    baseEjectionMs: decodeDuration(outliers.baseEjectionTime) ?? 30_000,
    maxEjectionPercent: wrappedNumber(outliers.maxEjectionPercent, 10),
  };
}

function decodeSuccessRate(outliers: wire.OutlierDetection): OutlierDetection["successRate"] {
  if (wrappedNumber(outliers.enforcingSuccessRate, 100) === 0) return undefined;
  return {
    minimumHosts: wrappedNumber(outliers.successRateMinimumHosts, 5),
    minimumRequests: wrappedNumber(outliers.successRateRequestVolume, 100),
    deviations: wrappedNumber(outliers.successRateStdevFactor, 1900) / 1000,
  };
}

function decodeFailurePercentage(
  outliers: wire.OutlierDetection,
): OutlierDetection["failurePercentage"] {
  if (wrappedNumber(outliers.enforcingFailurePercentage, 0) === 0) return undefined;
  return {
    minimumHosts: wrappedNumber(outliers.failurePercentageMinimumHosts, 5),
    minimumRequests: wrappedNumber(outliers.failurePercentageRequestVolume, 50),
    percent: wrappedNumber(outliers.failurePercentageThreshold, 85),
  };
}
