/**
 * Erlang's two formulas: the share of requests that find all servers busy.
 *
 * Both by the recursion for B in the number of servers, in which every term is positive: no factorials, no overflow,
 * and an error of a few units in the last place for any number of servers. Cost: one division per server.
 */

import { MeshError } from "../../base/error.ts";
import { atLeast, whole } from "./demand.ts";

/**
 * Erlang B: the share of requests refused by c servers without a queue (M/G/c/c, whatever the service times).
 *
 * B(0) = 1, B(n) = a·B(n−1) / (n + a·B(n−1)), with offered load a in erlangs, at least 0.
 * Source: A. K. Erlang 1917; recursion in D. Gross et al., Fundamentals of Queueing Theory, 4th ed. 2008, §2.5.
 */
export function erlangB(servers: number, offered: number): number {
  whole("the number of servers", servers, 0);
  atLeast("the offered load in erlangs", offered, 0);
  let blocked = 1;
  for (let n = 1; n <= servers; n++) blocked = (offered * blocked) / (n + offered * blocked);
  return blocked;
}

/**
 * Erlang C: the share of requests that wait for one of c servers (M/M/c).
 *
 * C = B / (1 − ρ·(1 − B)), ρ = a/c below 1. Source: as above, §2.3.
 */
export function erlangC(servers: number, offered: number): number {
  whole("the number of servers", servers, 1);
  const blocked = erlangB(servers, offered);
  const utilisation = offered / servers;
  if (utilisation >= 1) {
    throw new MeshError(
      "queueing.domain",
      `Erlang C needs an offered load below the number of servers, got ${offered} for ${servers}`,
      { fault: "user" },
    );
  }
  return blocked / (1 - utilisation * (1 - blocked));
}
