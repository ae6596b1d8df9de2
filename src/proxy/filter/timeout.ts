/**
 * The route's timeout: from the complete head to the complete answer, all tries and waits included. 504 UT.
 *
 * A call of gRPC says itself how long its caller waits; that holds where it is shorter, or the route has no timeout, as
 * with Istio. An upgraded connection has had its answer: it lasts as long as both sides wish.
 */

import type { Environment } from "../environment.ts";
import type { Filter } from "../stack/handler.ts";
import { Timeout } from "../timer-wheel.ts";

export function timeout(ms: number, environment: Environment): Filter {
  return (next) => (exchange) => {
    const { grpcTimeoutMs = Infinity } = exchange;
    const limit = ms > 0 ? Math.min(ms, grpcTimeoutMs) : grpcTimeoutMs;
    if (limit === Infinity) {
      next(exchange);
      return;
    }
    exchange.deadline = new Timeout(() => {
      exchange.respond(504, "UT", "upstream request timeout", "response_timeout");
    });
    environment.wheel.arm(exchange.deadline, limit);
    next(exchange);
  };
}
