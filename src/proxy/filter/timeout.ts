/**
 * The route's timeout: from the end of the request to the complete answer, all tries and waits included. 504 UT.
 *
 * As with Envoy it begins once the client has said all: a slow upload and a conversation that goes on are not late.
 * A call of gRPC says itself how long its caller waits; that counts from the head on, and holds where it is over
 * sooner, or the route has no timeout, as with Istio. An upgraded connection has had its answer: it lasts as long as
 * both sides wish.
 *
 * As with Envoy an endpoint that has not begun to answer by then has failed. What a caller of gRPC has no patience for
 * says nothing of it.
 */

import type { Environment } from "../environment.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";
import { Timeout } from "../timer-wheel.ts";

export function timeout(ms: number, environment: Environment): Filter {
  const { wheel } = environment;
  return (next) => (exchange) => {
    const { grpcTimeoutMs = Infinity } = exchange;
    const routeMs = ms > 0 ? ms : Infinity;
    if (routeMs === Infinity && grpcTimeoutMs === Infinity) {
      next(exchange);
      return;
    }
    let isCallers = grpcTimeoutMs !== Infinity;
    const deadline = new Timeout(() => {
      if (!isCallers) blameEndpoints(exchange);
      exchange.respond(504, "UT", "upstream request timeout", "response_timeout");
    });
    exchange.deadline = deadline;
    if (grpcTimeoutMs !== Infinity) wheel.arm(deadline, grpcTimeoutMs);
    exchange.onceWhole(() => {
      const leftMs = grpcTimeoutMs - (environment.now() - exchange.startedAt);
      if (routeMs >= leftMs) return;
      isCallers = false;
      wheel.arm(deadline, routeMs);
    });
    next(exchange);
  };
}

/** Those that have been asked and have said nothing yet. */
function blameEndpoints({ hasResponse, tries, host, rival }: Exchange): void {
  if (hasResponse) return;
  if (tries.isAtHost) host?.reportFailure("per-try-timeout");
  if (rival !== undefined) blameEndpoints(rival.exchange);
}
