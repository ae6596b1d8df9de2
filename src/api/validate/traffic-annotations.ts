/** Annotations whose values are JSON: each says what is wrong with it as a field of a spec would. */

import {
  compressionAnnotation,
  globalRateLimitAnnotation,
  healthCheckAnnotation,
  hedgeAnnotation,
  localRateLimitAnnotation,
  outlierAnnotation,
} from "../heddle/traffic-annotations.ts";
import type { Resource } from "../resource.ts";
import { duration } from "./duration.ts";
import { headerName } from "./istio/match.ts";
import { type Check, type Place, refine } from "./schema/check.ts";
import { list, record } from "./schema/record.ts";
import { boolean, integer, nonEmpty, oneOf, text } from "./schema/scalar.ts";

const path = text((value) => (/^\/[!-~]*$/.test(value) ? undefined : "must be a path"));
const headerValue = text((value) =>
  /^[\t -~]*$/.test(value) ? undefined : "must be one line of ASCII",
);

/** Whoever asks says these himself: with others it would be no request, and no proxy takes such a cluster. */
const notForProbes = /^(:.*|content-length|transfer-encoding|connection|te|upgrade|expect)$/i;
const probeHeader: Check = (value, at) => {
  headerName(value, at);
  if (typeof value === "string" && notForProbes.test(value)) {
    at.error(`must be none that frames a request, got "${value}"`);
  }
};
const host = text((value) => (/^[\w.:[\]-]+$/.test(value) ? undefined : "must be a host"));

const serviceProbe: Check = refine<Readonly<Record<string, unknown>>>(
  record({
    httpGet: record({
      path,
      host,
      httpHeaders: list(record({ "name!": probeHeader, "value!": headerValue })),
    }),
    tcpSocket: record({}),
    grpc: record({ service: nonEmpty }),
    periodSeconds: integer(1, 3_600),
    timeoutSeconds: integer(1, 3_600),
    successThreshold: integer(1, 1_000),
    failureThreshold: integer(1, 1_000),
  }),
  (value, at) => {
    const given = ["httpGet", "tcpSocket", "grpc"].filter((key) => value[key]);
    if (given.length === 1) return;
    const got = given.length === 0 ? "none" : given.join(", ");
    at.error(`must have exactly one of httpGet, tcpSocket, grpc, got ${got}`);
  },
);

const rateLimit: Check = record({
  "requests!": integer(1, 1_000_000),
  per: duration(),
  burst: integer(1, 1_000_000),
});

const count = integer(1, 1_000_000);
const outlierSettings: Check = record({
  successRateMinimumHosts: count,
  successRateRequestVolume: count,
  successRateStdevFactor: integer(0, 100_000),
  failurePercentageThreshold: integer(0, 100),
  failurePercentageMinimumHosts: count,
  failurePercentageRequestVolume: count,
});

export const destinationRuleAnnotations: (object: unknown, at: Place) => void = jsonAnnotations({
  [healthCheckAnnotation]: serviceProbe,
  [outlierAnnotation]: outlierSettings,
});

const hedge: Check = refine<Readonly<Record<string, unknown>>>(
  record({ hedgingDelay: duration(), percentile: integer(50, 99), grpc: boolean }),
  (value, at) => {
    const given = ["hedgingDelay", "percentile"].filter((key) => value[key] !== undefined);
    if (given.length === 1) return;
    const got = given.length === 0 ? "none" : "both";
    at.error(`must have exactly one of hedgingDelay, percentile, got ${got}`);
  },
);

const mediaType = text((value) =>
  /^[\w.+-]+\/[\w.+-]+$/.test(value) ? undefined : "must be a media type such as text/html",
);
const compression: Check = record({
  algorithms: list(oneOf("br", "gzip")),
  minBytes: integer(0, 1_000_000_000),
  contentTypes: list(mediaType),
});

export const virtualServiceAnnotations: (object: unknown, at: Place) => void = jsonAnnotations({
  [localRateLimitAnnotation]: rateLimit,
  [hedgeAnnotation]: hedge,
  [compressionAnnotation]: compression,
});

const bothRateLimits = jsonAnnotations({
  [localRateLimitAnnotation]: rateLimit,
  [globalRateLimitAnnotation]: rateLimit,
});

export function serviceRateLimits(service: unknown, at: Place): void {
  bothRateLimits(service, at);
  const { annotations = {} } = (service as Resource).metadata;
  if (annotations[localRateLimitAnnotation] === undefined) return;
  if (annotations[globalRateLimitAnnotation] === undefined) return;
  const place = at.field("metadata").field("annotations").entry(globalRateLimitAnnotation);
  place.error(`must be absent where ${localRateLimitAnnotation} is given`);
}

function jsonAnnotations(
  checks: Readonly<Record<string, Check>>,
): (object: unknown, at: Place) => void {
  return (object, at) => {
    const { annotations = {} } = (object as Resource).metadata;
    for (const [name, check] of Object.entries(checks)) {
      const written = annotations[name];
      if (written === undefined) continue;
      const place = at.field("metadata").field("annotations").entry(name);
      let value: unknown;
      try {
        value = JSON.parse(written);
      } catch {
        place.error(`must be JSON, got ${JSON.stringify(written.slice(0, 80))}`);
        continue;
      }
      check(value, place);
    }
  };
}
