/**
 * A local rate limit: beyond it requests get 429 with `x-envoy-ratelimited` and the flag RL, and reach nobody.
 *
 * A caller is its verified identity, or its address where it has none.
 */

import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";
import type { TokenBucket } from "../token-buckets.ts";

const marked = "x-envoy-ratelimited: true\r\n";

/** `onRefusal`: may add to what is said. */
export function rateLimit(bucket: TokenBucket, onRefusal?: (exchange: Exchange) => void): Filter {
  return (next) => (exchange) => {
    if (bucket.take(exchange.principal ?? exchange.sourceAddress)) {
      next(exchange);
      return;
    }
    onRefusal?.(exchange);
    exchange.respond(429, "RL", "local_rate_limited", "local_rate_limited", marked);
  };
}
