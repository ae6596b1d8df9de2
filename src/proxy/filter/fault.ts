/** Fault injection: delays a share of the requests, aborts a share of them. Delay first, as Envoy does. */

import type { Fault } from "../../model/proxy-config.ts";
import type { Environment } from "../environment.ts";
import type { Exchange } from "../stack/exchange.ts";
import { httpStatusOf } from "../stack/grpc-status.ts";
import type { Filter } from "../stack/handler.ts";
import { Timeout } from "../timer-wheel.ts";

export function fault(config: Fault, environment: Environment): Filter {
  const { random, wheel } = environment;
  const hits = (percent: number) => random() * 100 < percent;
  return (next) => {
    const abortOrPass = (exchange: Exchange) => {
      const { abort } = config;
      if (abort === undefined || !hits(abort.percent)) return next(exchange);
      const flag = exchange.flag === "DI" ? "DI,FI" : "FI";
      if ("grpcStatus" in abort) exchange.localGrpcStatus = String(abort.grpcStatus);
      const status = "status" in abort ? abort.status : httpStatusOf(String(abort.grpcStatus));
      exchange.respond(status, flag, "fault filter abort", "fault_filter_abort");
    };
    return (exchange) => {
      const { delay } = config;
      if (delay === undefined || !hits(delay.percent)) return abortOrPass(exchange);
      exchange.flag = "DI";
      const timer = new Timeout(() => {
        if (!exchange.isOver) abortOrPass(exchange);
      });
      exchange.atEnd(() => wheel.cancel(timer));
      wheel.arm(timer, delay.fixedMs);
    };
  };
}
