/**
 * Hedging: a request that has waited long for its answer is sent a second time, to another host; the first answer wins
 * (stack/rival.ts). It takes the edge off the slowest answers where one host stalls now and then.
 *
 * Only what may run twice is hedged: by its method, where its body came with its head; calls of gRPC where the user
 * says that they may, once their body is whole and not too long to keep. Each second try needs a place in the cluster's
 * budget of retries: where everything is slow, hedging must not double the load.
 *
 * When is said in time, or as the percentile of the route's own answers (recent-answers.ts).
 */

import type { HedgePolicy } from "../../model/proxy-config.ts";
import type { Environment } from "../environment.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";
import { Rival } from "../stack/rival.ts";
import { Timeout } from "../timer-wheel.ts";
import { RecentAnswers } from "./recent-answers.ts";
import { limitTries } from "./retries.ts";
import { headAgain } from "./router.ts";

export function hedge(policy: HedgePolicy, environment: Environment): Filter {
  const { wheel } = environment;
  const answers = policy.kind === "percentile" ? new RecentAnswers(environment.now) : undefined;
  const delayMs = (): number | undefined =>
    policy.kind === "delay" ? policy.delayMs : answers?.quantileMs(policy.percent / 100);
  const observe = (exchange: Exchange): void => {
    if (exchange.status > 0 && exchange.outcome(exchange.status) < 500) {
      answers?.observe(environment.now() - exchange.startedAt);
    }
  };
  return (next) => (exchange) => {
    if (answers !== undefined) exchange.atEnd(observe);
    const wait = delayMs();
    // A WebSocket may call itself gRPC; a second one would be nobody's to close.
    const isCall = exchange.isGrpc && !exchange.wantsUpgrade && policy.includesGrpc === true;
    if (wait === undefined || !(isCall || isHedgeable(exchange))) {
      next(exchange);
      return;
    }
    const rival = new Rival(exchange, () => countWon(exchange));
    const isWhole = exchange.isRequestDone;
    if (!isWhole) exchange.keepBody();
    const timer = new Timeout(() => {
      if (mayStart(exchange) && (isWhole || rival.takeBody())) start(exchange, rival);
    });
    exchange.atEnd(() => wheel.cancel(timer));
    wheel.arm(timer, wait);
    next(exchange);
  };
}

function isHedgeable(exchange: Exchange): boolean {
  return exchange.mayRunTwice && exchange.isRequestDone && !exchange.wantsUpgrade;
}

function mayStart({ cluster, hasResponse, isOver }: Exchange): boolean {
  if (cluster === undefined || hasResponse || isOver) return false;
  return cluster.hosts.length > 1 && cluster.load.mayRetry();
}

function start(exchange: Exchange, rival: Rival): void {
  const { cluster, attempts, tries } = exchange;
  if (tries.limit !== undefined) limitTries(rival.exchange, tries.limitMs);
  const hasStarted = rival.start(headAgain(exchange, attempts + 1));
  if (hasStarted && cluster !== undefined) cluster.hedged.sentTotal++;
}

function countWon({ cluster }: Exchange): void {
  if (cluster !== undefined) cluster.hedged.wonTotal++;
}
