/** telemetry.istio.io/v1: what is told of requests, and to whom. */

import type { Resource } from "../resource.ts";

export interface Telemetry extends Resource {
  readonly kind: "Telemetry";
  readonly spec?: TelemetrySpec;
}

export interface TelemetrySpec {
  /** Absent: all pods of the namespace; in the root namespace, of the mesh. */
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetRef?: unknown;
  readonly targetRefs?: readonly unknown[];
  readonly tracing?: readonly TelemetryTracing[];
  readonly accessLogging?: readonly TelemetryAccessLogging[];
  readonly metrics?: readonly unknown[];
}

/** `CLIENT`: what pods send, and gateways pass on; `SERVER`: what they take. Absent: both. */
export interface TelemetryMatch {
  readonly mode?: "CLIENT" | "SERVER" | "CLIENT_AND_SERVER";
}

/** Names of the Network's `extensionProviders`. */
type Providers = readonly { readonly name: string }[];

export interface TelemetryTracing {
  readonly match?: TelemetryMatch;
  readonly providers?: Providers;
  /** Percent; 1 where nobody says. */
  readonly randomSamplingPercentage?: number;
  readonly disableSpanReporting?: boolean;
  readonly customTags?: Readonly<Record<string, unknown>>;
  readonly useRequestIdForTraceSampling?: boolean;
  readonly enableIstioTags?: boolean;
}

export interface TelemetryAccessLogging {
  readonly match?: TelemetryMatch;
  readonly providers?: Providers;
  readonly disabled?: boolean;
  readonly filter?: { readonly expression?: string };
}
