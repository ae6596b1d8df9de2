/**
 * Local rate limits, as Envoy's filter takes them: of a chain in the list of filters, of a route beside it.
 *
 * A filter without a bucket limits nothing; it stands in every list, since an Envoy runs at routes only what is listed.
 * Limits by descriptor or by connection, and limits for a part of the requests, are not run and so refused.
 */

import type { RateLimit } from "../../model/proxy-config.ts";
import { decodeDuration, encodeDuration, invalid, required, wrappedNumber } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { decodePercent, encodePercent } from "./percent.ts";

export const rateLimitFilterName = "envoy.filters.http.local_ratelimit";
const statPrefix = "http_local_rate_limiter";

export const noRateLimit: wire.LocalRateLimit = { statPrefix };

export function encodeRateLimit(limit: RateLimit): wire.LocalRateLimit {
  const all = { defaultValue: encodePercent(100) };
  return {
    statPrefix,
    tokenBucket: {
      maxTokens: limit.maxTokens,
      tokensPerFill: { value: limit.tokensPerFill },
      fillInterval: encodeDuration(limit.fillIntervalMs),
    },
    filterEnabled: all,
    filterEnforced: all,
  };
}

export function decodeRateLimit(filter: wire.LocalRateLimit, path: string): RateLimit | undefined {
  const { tokenBucket: bucket, filterEnabled, filterEnforced } = filter;
  if ((filter.descriptors ?? []).length > 0) throw invalid(`${path}.descriptors`, "want none");
  if (filter.localRateLimitPerDownstreamConnection === true) {
    const at = `${path}.local_rate_limit_per_downstream_connection`;
    throw invalid(at, "want one bucket for all connections");
  }
  if (bucket === undefined) return undefined;
  const isOn = isWhole(filterEnabled, `${path}.filter_enabled`);
  if (!isWhole(filterEnforced, `${path}.filter_enforced`) || !isOn) return undefined;
  const at = `${path}.token_bucket`;
  const limit = {
    maxTokens: required(bucket.maxTokens, `${at}.max_tokens`),
    tokensPerFill: wrappedNumber(bucket.tokensPerFill, 1),
    fillIntervalMs: required(decodeDuration(bucket.fillInterval), `${at}.fill_interval`),
  };
  if (limit.fillIntervalMs <= 0) throw invalid(`${at}.fill_interval`, "want more than 0");
  return limit;
}

/** Envoy takes what is not said for no request at all. */
function isWhole(part: wire.RuntimeFractionalPercent | undefined, path: string): boolean {
  const percent = part === undefined ? 0 : decodePercent(part.defaultValue);
  if (percent !== 0 && percent !== 100) throw invalid(path, `want 0 or 100 %, got ${percent}`);
  return percent === 100;
}
