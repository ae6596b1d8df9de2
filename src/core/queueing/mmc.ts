/**
 * Poisson arrivals, exponential service, one queue for all servers: M/M/1 and M/M/c, exactly.
 *
 * With one server the response is exponential. With more it is a mixture: most requests are served at once, the others
 * wait an exponential time first. First come, first served; the means hold for any order that does not look at sizes.
 */

import { answer, type Demand, type Outcome, type ServedDemand, type UnitAnswer } from "./demand.ts";
import { erlangC } from "./erlang.ts";

/**
 * M/M/1: P(T > t) = e^(−(μ−λ)t), mean wait ρs/(1−ρ). Times in ms, rates per second; λ ≥ 0, s > 0.
 * Source: L. Kleinrock, Queueing Systems I, 1975, §3.2 and §5.
 */
export function mm1(demand: Demand): Outcome {
  return mmc({ ...demand, servers: 1 });
}

/**
 * M/M/c: P(T > t) = e^(−μt)·(1 + C·(1 − e^(−μt(c−1−a))) / (c−1−a)), C by Erlang, a = λs; mean wait C·s/(c−a).
 * Times in ms, rates per second; λ ≥ 0, s > 0, whole c ≥ 1.
 * Source: D. Gross et al., Fundamentals of Queueing Theory, 4th ed. 2008, §2.3 (eq. 2.41 ff.).
 */
export function mmc(demand: ServedDemand): Outcome {
  const { servers } = demand;
  const model = `M/M/${servers}`;
  return answer(demand, model, (rho) => mmcUnit(model, servers, rho));
}

export function mmcUnit(model: string, servers: number, utilisation: number): UnitAnswer {
  const offered = utilisation * servers;
  const wait = erlangC(servers, offered);
  const spare = servers - offered; // the rate at which a waiting request advances
  return {
    model,
    method: "exact",
    waitProbability: wait,
    meanWait: wait / spare,
    tail: (t) => (t <= 0 ? 1 : Math.min(1, mixtureTail(t, wait, spare))),
    ...(servers === 1 ? { quantile: (q: number) => -Math.log1p(-q) / spare } : {}),
  };
}

/** P(W + S > t) for S ~ Exp(1) and W = 0, or with probability `wait` ~ Exp(spare). */
function mixtureTail(t: number, wait: number, spare: number): number {
  // The exponents' difference times t; where it vanishes, (1 − e^(−x)) / x is 1: the two stages are then equally fast.
  const x = (spare - 1) * t;
  const overlap = Math.abs(x) < 1e-8 ? 1 - x / 2 : -Math.expm1(-x) / x;
  // For spare < 1 the factor e^(−t) and the growing overlap are multiplied in logarithms, so that neither overflows.
  if (x < -30) return Math.exp(-t) + wait * t * (Math.exp(-spare * t) - Math.exp(-t)) * (-1 / x);
  return Math.exp(-t) * (1 + wait * t * overlap);
}
