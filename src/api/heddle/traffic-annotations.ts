/**
 * Annotations that say of traffic what no field of Istio's or Kubernetes' kinds can say yet. Values are JSON, in the
 * words of the field's own APIs (docs/adr/0007).
 */

import { isRecord } from "../../base/json.ts";
import type { Resource } from "../resource.ts";

/** Of a DestinationRule: callers check the host's endpoints so. A ServiceProbe. */
export const healthCheckAnnotation = "heddle.dev/health-check";

/**
 * Of a Service: each pod's sidecar lets so many requests in, from all callers together. Of a VirtualService: each
 * caller's sidecar sends so many by each of its routes. A RateLimitSetting.
 */
export const localRateLimitAnnotation = "heddle.dev/local-rate-limit";

/** Of a DestinationRule with `outlierDetection`: statistical detectors beside the consecutive ones. OutlierSettings. */
export const outlierAnnotation = "heddle.dev/outlier-detection";

/** Envoy's fields and defaults; a detector is on where one of its fields is given. */
export interface OutlierSettings {
  readonly successRateMinimumHosts?: number;
  readonly successRateRequestVolume?: number;
  /** Thousandths of a standard deviation. */
  readonly successRateStdevFactor?: number;
  readonly failurePercentageThreshold?: number;
  readonly failurePercentageMinimumHosts?: number;
  readonly failurePercentageRequestVolume?: number;
}

/** Of a Service: all its pods together let so many requests in. A RateLimitSetting. */
export const globalRateLimitAnnotation = "heddle.dev/global-rate-limit";

/** So many requests in each interval (`per`, a duration: 1s unless given), and so many at once (`burst`: as many). */
export interface RateLimitSetting {
  readonly requests: number;
  readonly per?: string;
  readonly burst?: number;
}

/** A Kubernetes probe, asked by callers at the endpoint's own port; defaults are Kubernetes'. */
export interface ServiceProbe {
  readonly httpGet?: {
    readonly path?: string;
    readonly host?: string;
    readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[];
  };
  readonly tcpSocket?: Readonly<Record<string, never>>;
  readonly grpc?: { readonly service?: string };
  readonly periodSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly successThreshold?: number;
  readonly failureThreshold?: number;
}

/**
 * Of a VirtualService: requests of its routes that may run twice are sent to a second endpoint when the first has not
 * answered. A HedgeSetting.
 */
export const hedgeAnnotation = "heddle.dev/hedge";

/** After `hedgingDelay` (gRPC's name; a duration), or after so many of a hundred answers would have come. */
export interface HedgeSetting {
  readonly hedgingDelay?: string;
  readonly percentile?: number;
  /** Calls of gRPC on these routes may run twice. */
  readonly grpc?: boolean;
}

/** Of a VirtualService: answers of its routes are compressed for clients that ask for it. A CompressionSetting. */
export const compressionAnnotation = "heddle.dev/compression";

/** `{}` is Brotli and gzip, for text of a kilobyte or more. */
export interface CompressionSetting {
  readonly algorithms?: readonly ("gzip" | "br")[];
  readonly minBytes?: number;
  readonly contentTypes?: readonly string[];
}

/** Parses an annotation that passed validation; undefined where there is none, or nothing that can be read. */
export function healthCheckOf(object: Resource): ServiceProbe | undefined {
  return jsonOf(object, healthCheckAnnotation) as ServiceProbe | undefined;
}

/** As `healthCheckOf`. */
export function localRateLimitOf(object: Resource): RateLimitSetting | undefined {
  return jsonOf(object, localRateLimitAnnotation) as RateLimitSetting | undefined;
}

/** As `healthCheckOf`. */
export function globalRateLimitOf(object: Resource): RateLimitSetting | undefined {
  return jsonOf(object, globalRateLimitAnnotation) as RateLimitSetting | undefined;
}

/** As `healthCheckOf`. */
export function outlierSettingsOf(object: Resource): OutlierSettings | undefined {
  return jsonOf(object, outlierAnnotation) as OutlierSettings | undefined;
}

/** As `healthCheckOf`. */
export function hedgeOf(object: Resource): HedgeSetting | undefined {
  return jsonOf(object, hedgeAnnotation) as HedgeSetting | undefined;
}

/** As `healthCheckOf`. */
export function compressionOf(object: Resource): CompressionSetting | undefined {
  return jsonOf(object, compressionAnnotation) as CompressionSetting | undefined;
}

function jsonOf({ metadata }: Resource, name: string): unknown {
  const text = metadata.annotations?.[name];
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined; // validation refuses it; what was stored before that is as if it were not there
  }
}
