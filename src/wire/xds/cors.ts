/** A route's cross-origin rules, as Envoy's CORS filter takes them. */

import type { Cors } from "../../model/proxy-config.ts";
import { given, invalid, wrappedBool } from "./field.ts";
import type { CorsPolicy } from "./gen/message-types.ts";
import { decodeStringMatch, encodeStringMatch } from "./string-match.ts";

export const corsFilterName = "envoy.filters.http.cors";

export function encodeCors(cors: Cors): CorsPolicy {
  return {
    allowOriginStringMatch: cors.origins.map(encodeStringMatch),
    allowMethods: cors.methods.join(","),
    allowHeaders: cors.headers.join(","),
    exposeHeaders: cors.exposedHeaders.join(","),
    ...(cors.maxAgeMs === undefined ? {} : { maxAge: `${Math.floor(cors.maxAgeMs / 1000)}` }),
    ...given(
      "allowCredentials",
      cors.allowsCredentials === undefined ? undefined : { value: cors.allowsCredentials },
    ),
    forwardNotMatchingPreflights: { value: cors.forwardsUnmatchedPreflights },
  };
}

export function decodeCors(policy: CorsPolicy, path: string): Cors {
  const list = (text: string | undefined): readonly string[] =>
    (text ?? "").split(",").filter((item) => item !== "");
  const seconds = policy.maxAge === undefined || policy.maxAge === "" ? undefined : +policy.maxAge;
  if (seconds !== undefined && !(seconds >= 0)) {
    throw invalid(`${path}.max_age`, `want seconds, got "${policy.maxAge}"`);
  }
  return {
    origins: (policy.allowOriginStringMatch ?? []).map((matcher, index) =>
      decodeStringMatch(matcher, `${path}.allow_origin_string_match[${index}]`),
    ),
    methods: list(policy.allowMethods),
    headers: list(policy.allowHeaders),
    exposedHeaders: list(policy.exposeHeaders),
    ...given("maxAgeMs", seconds === undefined ? undefined : seconds * 1000),
    ...given(
      "allowsCredentials",
      policy.allowCredentials && wrappedBool(policy.allowCredentials, false),
    ),
    forwardsUnmatchedPreflights: wrappedBool(policy.forwardNotMatchingPreflights, true),
  };
}
