/**
 * What does one sidecar cost an HTTP/1.1 request, with mutual TLS on one of its sides?
 *
 *   wrk → sidecar → (mutual TLS) → backend        ours
 *   wrk → HAProxy → (mutual TLS) → backend        rival
 *   wrk → Envoy → (mutual TLS) → backend          rival
 *   wrk → backend                                 floor, in the clear
 *
 * TLS 1.3; the backend verifies who calls, and ours and Envoy also who answers. The shape of the run is in http-hop.ts.
 */

import { type HopOptions, measureHop } from "./http-hop.ts";
import type { BenchResult } from "./result.ts";

export function run(options: HopOptions = {}): Promise<BenchResult> {
  const aims = { haproxy: 1.6, envoy: 0.65 };
  return measureHop({ bench: "http1-mtls-hop", isMutualTls: true, aims }, options);
}
