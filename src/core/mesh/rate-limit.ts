/**
 * Rate limits that annotations ask for (docs/adr/0007), as buckets.
 *
 * A Service's global limit is handed out in equal parts to the pods that it sends requests to, and handed out anew as
 * they come and go: all together never let more in than the limit, nobody is asked on the way of a request, and a
 * balancer that spreads evenly leaves little of it unused. A pod that gets more than its part refuses while others have
 * room.
 */

import {
  globalRateLimitOf,
  localRateLimitOf,
  type RateLimitSetting,
} from "../../api/heddle/traffic-annotations.ts";
import type { Service } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { durationMs } from "../../api/validate/duration.ts";
import type { RateLimit } from "../../model/proxy-config.ts";
import { namespaceOf } from "../registry/workloads.ts";
import type { World } from "../registry/world.ts";
import { serviceOfHost } from "./services.ts";

/** The local one of an object. */
export function rateLimitOf(object: Resource): RateLimit | undefined {
  const asked = localRateLimitOf(object);
  return asked && bucketOf(asked, 1);
}

/** What one pod lets in to this port of the Service. */
export function inboundRateLimit(
  world: World,
  service: Service,
  host: string,
  port: number,
): RateLimit | undefined {
  const shared = globalRateLimitOf(service);
  if (shared === undefined) return rateLimitOf(service);
  const known = serviceOfHost(world, host, namespaceOf(service))?.ports.find(
    (one) => one.port === port,
  );
  return bucketOf(shared, Math.max(1, known?.endpoints.length ?? 1));
}

/** One of so many equal parts. The rate is divided by a longer interval: it need not be a whole number. */
function bucketOf(
  { requests, per = "1s", burst = requests }: RateLimitSetting,
  parts: number,
): RateLimit {
  return {
    maxTokens: Math.max(1, Math.floor(burst / parts)),
    tokensPerFill: requests,
    fillIntervalMs: (durationMs(per) ?? 1_000) * parts,
  };
}
