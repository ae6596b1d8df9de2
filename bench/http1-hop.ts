/**
 * What does one sidecar cost an HTTP/1.1 request?
 *
 *   wrk → sidecar → backend        ours
 *   wrk → HAProxy → backend        rival
 *   wrk → Envoy → backend          rival
 *   wrk → backend                  floor
 *
 * In the clear. Ours routes by host and counts Istio's metrics; the shape of the run is in http-hop.ts.
 */

import { type HopOptions, measureHop } from "./http-hop.ts";
import type { BenchResult } from "./result.ts";

export function run(options: HopOptions = {}): Promise<BenchResult> {
  const aims = { haproxy: 1.4, envoy: 0.5 };
  return measureHop({ bench: "http1-hop", isMutualTls: false, aims }, options);
}
