/**
 * Poisson arrivals, service that always takes equally long, one queue: M/D/1 and M/D/c, exactly.
 *
 * Erlang's series for M/D/1 alternates in sign and is useless beyond moderate load. Seen once per service time, the
 * number waiting is a Markov chain: L' = max(L + Poisson(a) − c, 0). Its distribution, found without subtractions,
 * gives the waiting time by Franx' sum, whose terms are all positive.
 *
 * Domain of the exact solution: ρ ≤ 0.99 and at most 64 servers (the chain has 32/ln z states, z its geometric decay;
 * 1 600 at ρ = 0.99). Beyond, the conditional wait is taken as exponential with Cosmetatos' mean: within 1 % there.
 */

import { answer, type Demand, type Outcome, type ServedDemand, type UnitAnswer } from "./demand.ts";
import { erlangC } from "./erlang.ts";
import { stationary } from "./stationary.ts";

const mostServers = 64;
const mostUtilisation = 0.99;

/** M/D/1: mean wait ρs / (2(1−ρ)). Units and domain as `mdc`. */
export function md1(demand: Demand): Outcome {
  return mdc({ ...demand, servers: 1 });
}

/**
 * M/D/c: P(W ≤ x) = P(L + Poisson(λ(kD−x)) ≤ kc − 1) for (k−1)D ≤ x < kD; response = wait + D.
 * Times in ms, rates per second; λ ≥ 0, s > 0, whole c ≥ 1.
 * Source: C. Crommelin 1932; G. J. Franx, A simple solution for the M/D/c waiting time distribution, Operations
 * Research Letters 29 (2001).
 */
export function mdc(demand: ServedDemand): Outcome {
  const { servers } = demand;
  const model = `M/D/${servers}`;
  return answer(demand, model, (rho) => mdcUnit(model, servers, rho));
}

export function mdcUnit(model: string, servers: number, utilisation: number): UnitAnswer {
  if (utilisation > mostUtilisation || servers > mostServers)
    return heavyTraffic(model, servers, utilisation);
  const offered = utilisation * servers;
  const { moreThan, meanWaiting } = waitingNumbers(servers, offered);
  const waitTail = (x: number): number => {
    const k = Math.floor(x) + 1;
    return exceeds(k * servers - 1, offered * (k - x), moreThan);
  };
  return {
    model,
    method: "exact",
    waitProbability: waitTail(0),
    meanWait: offered === 0 ? 0 : meanWaiting / offered,
    tail: (t) => (t < 1 ? 1 : waitTail(t - 1)),
  };
}

/** The number waiting, at any time: P(L > m) by m, and E[L]. */
function waitingNumbers(
  servers: number,
  offered: number,
): { readonly moreThan: readonly number[]; readonly meanWaiting: number } {
  const states = Math.max(8, Math.ceil(32 / Math.log(decay(offered / servers))));
  const arrivals = poisson(offered, states + servers);
  const flow: number[][] = [];
  for (let from = 0; from <= states; from++) {
    const row = new Array<number>(states + 1).fill(0);
    let rest = 1;
    for (let count = 0; count < states - from + servers; count++) {
      const share = arrivals[count] ?? 0;
      const to = Math.max(0, from + count - servers);
      row[to] = (row[to] ?? 0) + share;
      rest -= share;
    }
    row[states] = Math.max(0, rest);
    flow.push(row);
  }
  const shares = stationary(flow, servers);
  const moreThan = new Array<number>(shares.length).fill(0);
  let beyond = 0;
  let meanWaiting = 0;
  for (let m = shares.length - 1; m >= 0; m--) {
    moreThan[m] = beyond;
    meanWaiting += beyond;
    beyond += shares[m] ?? 0;
  }
  return { moreThan, meanWaiting };
}

/** The z > 1 with ρ(z − 1) = ln z: P(L > m) falls like z^−m, for any number of servers. */
function decay(utilisation: number): number {
  if (utilisation < 1e-6) return 1e6; // in truth more, and no wait worth a state
  let low = 1 + (1 - utilisation); // below the root, as ln z > ρ(z − 1) there
  let high = 2;
  const isAbove = (z: number): boolean => utilisation * (z - 1) > Math.log(z);
  while (!isAbove(high)) high *= 2;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (isAbove(middle)) high = middle;
    else low = middle;
  }
  return low;
}

/** P(L + Poisson(mean) > bound). */
function exceeds(bound: number, mean: number, moreThan: readonly number[]): number {
  let share = Math.exp(-mean);
  let left = 1;
  let total = 0;
  for (let count = 0; count <= bound; count++) {
    total += share * (moreThan[bound - count] ?? 0);
    left -= share;
    share *= mean / (count + 1);
    if (left < 1e-15) return total;
  }
  return total + Math.max(0, left);
}

function poisson(mean: number, count: number): number[] {
  const shares = [Math.exp(-mean)];
  for (let n = 1; n < count; n++) shares.push(((shares[n - 1] ?? 0) * mean) / n);
  return shares;
}

/**
 * Near saturation or with many servers: P(W > 0) of Erlang C, mean of Cosmetatos, exponential in between.
 * Source: G. Cosmetatos, Approximate explicit formulae for the average queueing time in M/D/r, INFOR 13 (1975).
 */
function heavyTraffic(model: string, servers: number, utilisation: number): UnitAnswer {
  const wait = erlangC(servers, utilisation * servers);
  const exponential = wait / (servers * (1 - utilisation));
  const spread = ((servers - 1) * (Math.sqrt(4 + 5 * servers) - 2)) / (16 * servers);
  const refined = 1 + Math.min(1, (spread * (1 - utilisation)) / utilisation);
  const meanWait = (refined * exponential) / 2;
  return {
    model,
    method: "approximate",
    waitProbability: wait,
    meanWait,
    tail: (t) => (t < 1 ? 1 : wait * Math.exp((-wait * (t - 1)) / meanWait)),
  };
}
