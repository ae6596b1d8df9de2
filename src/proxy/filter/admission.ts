/**
 * Refuses a request where the sidecar has taken on as much as it may (overload.ts): 503 OM in Envoy's words,
 * UNAVAILABLE to a call of gRPC. Before authorization and routes, so that a refusal costs next to nothing; inside
 * metrics, so that it is counted.
 */

import type { Overload } from "../overload.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";

/** `onRefusal`: may add to what is said. */
export function admission(overload: Overload, onRefusal: (exchange: Exchange) => void): Filter {
  return (next) => (exchange) => {
    if (!overload.enter()) {
      exchange.downstream.holdOff(overload.holdOffMs());
      onRefusal(exchange);
      exchange.respond(503, "OM", "overloaded", "overload", "x-envoy-local-overloaded: true\r\n");
      return;
    }
    exchange.atEnd(overload.leave);
    next(exchange);
  };
}
