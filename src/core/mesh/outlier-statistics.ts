/** Statistical outlier detectors, which Istio's API cannot ask for: a DestinationRule's annotation (docs/adr/0007). */

import { outlierSettingsOf } from "../../api/heddle/traffic-annotations.ts";
import type { Cluster, OutlierDetection } from "../../model/proxy-config.ts";
import type { ClientRule } from "./destination-rules.ts";

/** The cluster's outlier detection with them; nothing where it has none, or nobody asks. */
export function withStatistics(
  { outlierDetection }: Pick<Cluster, "outlierDetection">,
  rule: ClientRule | undefined,
): Pick<Cluster, "outlierDetection"> {
  const asked = rule?.from.map(outlierSettingsOf).find((settings) => settings !== undefined);
  if (asked === undefined || outlierDetection === undefined) return {};
  const isOn = (prefix: string): boolean =>
    Object.keys(asked).some((name) => name.startsWith(prefix));
  const statistics: Pick<OutlierDetection, "successRate" | "failurePercentage"> = {
    ...(isOn("successRate")
      ? {
          successRate: {
            minimumHosts: asked.successRateMinimumHosts ?? 5,
            minimumRequests: asked.successRateRequestVolume ?? 100,
            deviations: (asked.successRateStdevFactor ?? 1_900) / 1_000,
          },
        }
      : {}),
    ...(isOn("failurePercentage")
      ? {
          failurePercentage: {
            minimumHosts: asked.failurePercentageMinimumHosts ?? 5,
            minimumRequests: asked.failurePercentageRequestVolume ?? 50,
            percent: asked.failurePercentageThreshold ?? 85,
          },
        }
      : {}),
  };
  return { outlierDetection: { ...outlierDetection, ...statistics } };
}
