/** When requests of a VirtualService's routes are sent a second time: its annotation (docs/adr/0007). */

import { hedgeOf } from "../../api/heddle/traffic-annotations.ts";
import type { VirtualService } from "../../api/istio/networking.ts";
import { durationMs } from "../../api/validate/duration.ts";
import type { HedgePolicy } from "../../model/proxy-config.ts";

export function hedgePolicy(rules: VirtualService): { readonly hedge?: HedgePolicy } {
  const { hedgingDelay = "", percentile, grpc } = hedgeOf(rules) ?? {};
  const calls = grpc === true ? { includesGrpc: true as const } : {};
  if (percentile !== undefined) {
    return { hedge: { kind: "percentile", percent: percentile, ...calls } };
  }
  const delayMs = durationMs(hedgingDelay);
  return delayMs === undefined ? {} : { hedge: { kind: "delay", delayMs, ...calls } };
}
