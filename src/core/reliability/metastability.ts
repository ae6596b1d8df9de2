/**
 * Whether retries can keep a service down after what broke it is gone.
 *
 * Retries add load, load adds timeouts, timeouts add retries: the effective arrival rate is a fixed point of
 * λe = λ·attempts(f(λe)). One fixed point: the service returns to it after any disturbance. Three: the middle one is
 * the tipping point, and a burst beyond it ends in the upper one, which lasts without the burst.
 *
 * Source: N. Bronson et al., Metastable failures in distributed systems, HotOS 2021; the fixed point is the usual
 * mean-field argument (as in F. Kelly, Loss networks, 1991).
 */

import { mgc } from "../queueing/mgc.ts";
import { count, positive, refuse } from "./domain.ts";
import { attempts } from "./retries.ts";

export interface RetriedLoad {
  /** First attempts per second. */
  readonly arrivalsPerSecond: number;
  readonly retries: number;
  /** Share of attempts that fail when so many arrive per second; must not fall with the rate. */
  readonly failureShare: (attemptsPerSecond: number) => number;
  /** Attempts per request at a failure share; unbudgeted retries unless told. */
  readonly attemptsAt?: (failureShare: number) => number;
}

/** One state that the load settles in, in attempts per second. */
export type Regime =
  | { readonly kind: "stable"; readonly attemptsPerSecond: number; readonly failureShare: number }
  | {
      readonly kind: "metastable";
      readonly low: number;
      /** A burst that lifts the attempts per second beyond this does not end by itself. */
      readonly tipping: number;
      readonly high: number;
      /** tipping − low: the disturbance that it stands. */
      readonly margin: number;
    };

const steps = 1000; // of the grid on which fixed points are looked for

/** The fixed points of λe = λ·attempts(f(λe)) between λ and λ·(n+1), found on a grid and refined by bisection. */
export function regime(load: RetriedLoad): Regime {
  const { arrivalsPerSecond, retries, failureShare } = load;
  positive("arrivals per second", arrivalsPerSecond);
  count("the number of retries", retries, 0);
  const attemptsAt = load.attemptsAt ?? ((f: number) => attempts(f, retries));
  const excess = (rate: number): number =>
    arrivalsPerSecond * attemptsAt(failureShare(rate)) - rate;
  const points: number[] = [];
  const at = (i: number): number => arrivalsPerSecond * (1 + (retries * i) / steps);
  const end = at(steps) * (1 + 1e-9); // nothing lies beyond: at most every attempt fails
  let previous = arrivalsPerSecond * (1 - 1e-9);
  let sign = 1; // below λ there are always more attempts than that
  for (let i = 0; i <= steps + 1; i++) {
    const rate = i > steps ? end : at(i);
    const here = excess(rate) > 0 ? 1 : -1;
    if (here !== sign) points.push(crossing(excess, previous, rate, sign));
    sign = here;
    previous = rate;
  }
  const [low, tipping, high] = points;
  if (low === undefined) refuse(`no state was found in which ${arrivalsPerSecond}/s settle`);
  if (tipping === undefined || high === undefined)
    return { kind: "stable", attemptsPerSecond: low, failureShare: failureShare(low) };
  return { kind: "metastable", low, tipping, high: points.at(-1) ?? high, margin: tipping - low };
}

/**
 * Share of attempts that a queue of c servers answers later than the timeout: P(T > timeout) of M/G/c, 1 at and beyond
 * capacity (late work is still done, as a server does not know that its caller has gone). Times in ms, rates per
 * second.
 */
export function timeoutFailures(
  service: { readonly servers: number; readonly serviceMs: number; readonly serviceScv: number },
  timeoutMs: number,
): (attemptsPerSecond: number) => number {
  positive("the timeout in ms", timeoutMs);
  return (arrivalsPerSecond) => {
    const outcome = mgc({ ...service, arrivalsPerSecond });
    return outcome.kind === "unbounded" ? 1 : outcome.tail(timeoutMs);
  };
}

function crossing(
  excess: (rate: number) => number,
  from: number,
  to: number,
  signBefore: number,
): number {
  let low = from;
  let high = to;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (excess(middle) > 0 === signBefore > 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
