/** The route's timeout: from the complete head to the complete answer, all tries and waits included. 504 UT. */

import type { Environment } from "../environment.ts";
import type { Filter } from "../stack/handler.ts";
import { Timeout } from "../timer-wheel.ts";

export function timeout(ms: number, environment: Environment): Filter {
  return (next) => (exchange) => {
    exchange.deadline = new Timeout(() => {
      exchange.respond(504, "UT", "upstream request timeout", "response_timeout");
    });
    environment.wheel.arm(exchange.deadline, ms);
    next(exchange);
  };
}
