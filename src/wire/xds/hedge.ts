/**
 * When a route's requests are sent a second time. Envoy hedges on a per-try timeout only, so this travels in the
 * route's metadata (`heddle.hedge_delay_ms`, `heddle.hedge_percentile`, `heddle.hedge_grpc`), and an Envoy does not
 * hedge.
 */

import type { HedgePolicy } from "../../model/proxy-config.ts";
import { invalid } from "./field.ts";
import type { JsonObject } from "./struct.ts";

export function encodeHedge(hedge: HedgePolicy): JsonObject {
  return {
    ...(hedge.kind === "delay"
      ? { hedge_delay_ms: hedge.delayMs }
      : { hedge_percentile: hedge.percent }),
    ...(hedge.includesGrpc === true ? { hedge_grpc: true } : {}),
  };
}

export function decodeHedge(own: JsonObject, path: string): HedgePolicy | undefined {
  const { hedge_delay_ms: delayMs, hedge_percentile: percent, hedge_grpc: grpc } = own;
  const calls = grpc === true ? { includesGrpc: true as const } : {};
  if (typeof delayMs === "number") {
    if (!(delayMs > 0)) throw invalid(`${path}.hedge_delay_ms`, `want more than 0, got ${delayMs}`);
    return { kind: "delay", delayMs, ...calls };
  }
  if (typeof percent !== "number") return undefined;
  if (!(percent > 0 && percent < 100)) {
    throw invalid(`${path}.hedge_percentile`, `want between 0 and 100, got ${percent}`);
  }
  return { kind: "percentile", percent, ...calls };
}
