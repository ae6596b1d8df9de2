/**
 * Poisson arrivals, any service time, one server: Pollaczek and Khinchine; and the same under processor sharing.
 *
 * The mean wait needs only the service time's squared coefficient of variation (SCV: variance / mean²). Quantiles need
 * its shape, which is taken as gamma: constant at SCV 0, Erlang below 1, exponential at 1, more spread above. For that
 * shape the response distribution is exact, by inverting its transform (to 1e-7).
 */

import {
  above,
  answer,
  atLeast,
  checkDemand,
  type Demand,
  type Outcome,
  type Unbounded,
  type UnitAnswer,
  unbounded,
  utilisationOf,
} from "./demand.ts";
import { type Complex, divide, gammaTransform, multiply, tailFromTransform } from "./inversion.ts";
import { mdcUnit } from "./mdc.ts";
import { mmcUnit } from "./mmc.ts";

export interface GeneralDemand extends Demand {
  /** Squared coefficient of variation of the service time: 0 constant, 1 exponential; at least 0. */
  readonly serviceScv: number;
}

/** Below this SCV (a standard deviation of 1 % of the mean) service counts as constant. */
const constantBelow = 1e-4;

/**
 * M/G/1, first come, first served: mean wait λE[S²] / (2(1−ρ)) = ρs(1+SCV) / (2(1−ρ)); the response's transform is
 * (1−ρ)s·B(s) / (s − λ(1 − B(s))), B that of the service time. Times in ms, rates per second; λ ≥ 0, s > 0, SCV ≥ 0.
 * Source: F. Pollaczek 1930, A. Khinchine 1932; L. Kleinrock, Queueing Systems I, 1975, §5.7.
 */
export function mg1(demand: GeneralDemand): Outcome {
  atLeast("the service time's SCV", demand.serviceScv, 0);
  return answer({ ...demand, servers: 1 }, "M/G/1", (rho) => mg1Unit(rho, demand.serviceScv));
}

export function mg1Unit(rho: number, scv: number): UnitAnswer {
  if (scv === 1) return mmcUnit("M/G/1", 1, rho);
  if (scv < constantBelow) return mdcUnit("M/G/1", 1, rho);
  const response = (s: Complex): Complex => {
    const service = gammaTransform(s, 1, scv);
    const idle = { re: (1 - rho) * s.re, im: (1 - rho) * s.im };
    const rest = { re: s.re - rho * (1 - service.re), im: s.im + rho * service.im };
    return multiply(divide(idle, rest), service);
  };
  const width = Math.sqrt(Math.min(scv, 1)) / 2;
  return {
    model: "M/G/1",
    method: "exact",
    waitProbability: rho,
    meanWait: (rho * (1 + scv)) / (2 * (1 - rho)),
    tail: (t) => tailFromTransform(response, t, width),
  };
}

/** Means of a server that works on all its requests at once, each at an equal share of its speed. */
export interface Shared {
  readonly kind: "shared";
  readonly model: "M/G/1-PS";
  readonly utilisation: number;
  readonly meanResponseMs: number;
  readonly meanInSystem: number;
  /** Mean response of a request that would take this many ms alone. */
  readonly meanResponseOf: (aloneMs: number) => number;
}

/**
 * M/G/1 under processor sharing: a request that needs x alone takes x / (1−ρ) on average, whatever the distribution of
 * sizes. Means only: its quantiles have no usable form. Units and domain as `mg1`.
 * Source: L. Kleinrock, Queueing Systems II, 1976, §4.4.
 */
export function mg1ProcessorSharing(demand: Demand): Shared | Unbounded {
  const served = { ...demand, servers: 1 };
  checkDemand(served);
  const utilisation = utilisationOf(served);
  if (utilisation >= 1) return unbounded(served, "M/G/1-PS");
  return {
    kind: "shared",
    model: "M/G/1-PS",
    utilisation,
    meanResponseMs: demand.serviceMs / (1 - utilisation),
    meanInSystem: utilisation / (1 - utilisation),
    meanResponseOf: (aloneMs) => {
      above("the time alone in ms", aloneMs, 0);
      return aloneMs / (1 - utilisation);
    },
  };
}
