/** A local rate limit that an object's annotation asks for (docs/adr/0007), as a bucket. */

import { localRateLimitOf } from "../../api/heddle/traffic-annotations.ts";
import type { Resource } from "../../api/resource.ts";
import { durationMs } from "../../api/validate/duration.ts";
import type { RateLimit } from "../../model/proxy-config.ts";

export function rateLimitOf(object: Resource): RateLimit | undefined {
  const asked = localRateLimitOf(object);
  if (asked === undefined) return undefined;
  const { requests, per = "1s", burst = requests } = asked;
  return { maxTokens: burst, tokensPerFill: requests, fillIntervalMs: durationMs(per) ?? 1_000 };
}
