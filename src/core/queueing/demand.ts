/**
 * What a queueing model is asked and what it answers.
 *
 * Rates are per second, times are milliseconds; inside, every model works in units of the mean service time, so a
 * change of units cannot change an answer. Load at or above capacity is an answer (`unbounded`), not an error and
 * never NaN or Infinity; numbers that mean nothing (a negative rate, half a server) are refused with a MeshError.
 *
 * Not here: any formula.
 */

import { MeshError } from "../../base/error.ts";

/** What arrives and what each request costs. */
export interface Demand {
  /** Requests per second, of all callers together; at least 0. */
  readonly arrivalsPerSecond: number;
  /** Mean time one server is busy with one request, in ms; above 0. */
  readonly serviceMs: number;
}

export interface ServedDemand extends Demand {
  /** Servers that share the load: replicas, workers or threads; a whole number from 1. */
  readonly servers: number;
}

/** Waiting and response times of a queue that keeps up. */
export interface Steady {
  readonly kind: "steady";
  /** Kendall's notation, e.g. `M/M/4`. */
  readonly model: string;
  /** Whether the distribution follows from the model's assumptions, or is an approximation on top of them. */
  readonly method: "exact" | "approximate";
  /** Share of time that one server is busy: 0 … 1, exclusive. */
  readonly utilisation: number;
  /** Share of requests that find every server busy. */
  readonly waitProbability: number;
  readonly meanWaitMs: number;
  /** Waiting and service. */
  readonly meanResponseMs: number;
  /** Requests waiting or in service, by Little's law. */
  readonly meanInSystem: number;
  /** Share of requests whose response takes longer than this many ms. */
  readonly tail: (ms: number) => number;
  /** The response time in ms that the share `q` of requests does not exceed; q above 0 and below 1. */
  readonly quantileMs: (q: number) => number;
}

/** A queue that grows for as long as the load lasts. */
export interface Unbounded {
  readonly kind: "unbounded";
  readonly model: string;
  /** Work offered per server: at least 1. */
  readonly utilisation: number;
  readonly arrivalsPerSecond: number;
  /** Requests per second that the servers can finish. */
  readonly capacityPerSecond: number;
  /** The smallest number of servers with which the queue is bounded. */
  readonly serversNeeded: number;
}

export type Outcome = Steady | Unbounded;

/** A model's answer in units of the mean service time. */
export interface UnitAnswer {
  readonly model: string;
  readonly method: "exact" | "approximate";
  readonly waitProbability: number;
  readonly meanWait: number;
  /** P(response > t). */
  readonly tail: (t: number) => number;
  /** Where it is known without a search. */
  readonly quantile?: (q: number) => number;
}

/** Offered work per server, ρ = λ·s / c. */
export function utilisationOf(demand: ServedDemand): number {
  return offeredLoad(demand) / demand.servers;
}

/** Offered work in servers (erlangs), a = λ·s. */
export function offeredLoad({ arrivalsPerSecond, serviceMs }: Demand): number {
  return (arrivalsPerSecond * serviceMs) / 1000;
}

export function checkDemand(demand: ServedDemand): void {
  atLeast("arrivals per second", demand.arrivalsPerSecond, 0);
  above("the mean service time in ms", demand.serviceMs, 0);
  whole("the number of servers", demand.servers, 1);
}

/** Answers a checked demand: `solve` is asked only where the queue keeps up, with the utilisation. */
export function answer(
  demand: ServedDemand,
  model: string,
  solve: (utilisation: number) => UnitAnswer,
): Outcome {
  checkDemand(demand);
  const utilisation = utilisationOf(demand);
  if (utilisation >= 1) return unbounded(demand, model);
  const { arrivalsPerSecond, serviceMs } = demand;
  const unit = solve(utilisation);
  const meanResponseMs = (1 + unit.meanWait) * serviceMs;
  const quantile = unit.quantile ?? ((q: number) => quantileOfTail(unit.tail, q));
  return {
    kind: "steady",
    model: unit.model,
    method: unit.method,
    utilisation,
    waitProbability: unit.waitProbability,
    meanWaitMs: unit.meanWait * serviceMs,
    meanResponseMs,
    meanInSystem: (arrivalsPerSecond * meanResponseMs) / 1000,
    tail: (ms) => unit.tail(ms / serviceMs),
    quantileMs: (q) => quantile(checkedShare(q)) * serviceMs,
  };
}

export function unbounded(demand: ServedDemand, model: string): Unbounded {
  return {
    kind: "unbounded",
    model,
    utilisation: utilisationOf(demand),
    arrivalsPerSecond: demand.arrivalsPerSecond,
    capacityPerSecond: (demand.servers * 1000) / demand.serviceMs,
    serversNeeded: Math.floor(offeredLoad(demand)) + 1,
  };
}

/** The smallest t ≥ 0 with tail(t) ≤ 1 − q, to eleven digits unless told; `tail` must fall from 1 towards 0. */
export function quantileOfTail(
  tail: (t: number) => number,
  q: number,
  precision: number = 1e-11,
): number {
  const beyond = 1 - q;
  const height = (t: number): number => Math.log(tail(t) / beyond);
  let low = 0;
  let high = 1;
  let atLow = -Math.log(beyond);
  let atHigh = height(high);
  while (atHigh > 0) {
    [low, atLow] = [high, atHigh];
    high *= 2;
    atHigh = height(high);
  }
  // Tails are nearly straight in logarithms, so a secant (Illinois) lands close; each third step halves, for jumps.
  for (let step = 1; step < 200 && high - low > precision * high; step++) {
    const secant = (low * atHigh - high * atLow) / (atHigh - atLow);
    const usable = step % 3 !== 0 && secant > low && secant < high;
    const t = usable ? secant : (low + high) / 2;
    if (t <= low || t >= high) break;
    const at = height(t);
    if (at > 0) [low, atLow, atHigh] = [t, at, atHigh / 2];
    else [high, atHigh, atLow] = [t, at, atLow / 2];
  }
  return high;
}

/** The response of which each quantile lies between those of two others: (1 − w)·first + w·second, w by quantile. */
export function blend(
  model: string,
  [first, second]: readonly [UnitAnswer, UnitAnswer],
  weight: (q: number) => number,
  meanWeight: number,
): UnitAnswer {
  const quantileIn = (answer: UnitAnswer, q: number, precision: number): number =>
    answer.quantile?.(q) ?? quantileOfTail(answer.tail, q, precision);
  const quantile = (q: number, precision = 1e-11): number => {
    const share = weight(q);
    return (1 - share) * quantileIn(first, q, precision) + share * quantileIn(second, q, precision);
  };
  const between = (a: number, b: number): number => (1 - meanWeight) * a + meanWeight * b;
  return {
    model,
    method: "approximate",
    waitProbability: between(first.waitProbability, second.waitProbability),
    meanWait: between(first.meanWait, second.meanWait),
    quantile,
    tail: (t) => tailOfQuantile((q) => quantile(q, 1e-7), t),
  };
}

/** The share beyond t, to five digits; what is rarer than 1e-9 counts as none. */
function tailOfQuantile(quantile: (q: number) => number, t: number): number {
  const depth = (u: number): number => quantile(-Math.expm1(-u)) - t; // u = −ln(1 − q)
  const deepest = 20.7; // e^−20.7 = 1e-9
  let low = 1e-9;
  let high = 0.5;
  let atLow = depth(low);
  if (atLow > 0) return 1;
  let atHigh = depth(high);
  while (atHigh <= 0) {
    if (high >= deepest) return 0;
    [low, atLow] = [high, atHigh];
    high = Math.min(2 * high, deepest);
    atHigh = depth(high);
  }
  for (let step = 1; step < 120 && high - low > 1e-5; step++) {
    const secant = (low * atHigh - high * atLow) / (atHigh - atLow);
    const u = step % 3 !== 0 && secant > low && secant < high ? secant : (low + high) / 2;
    const at = depth(u);
    if (at > 0) [high, atHigh, atLow] = [u, at, atLow / 2];
    else [low, atLow, atHigh] = [u, at, atHigh / 2];
  }
  return Math.exp(-low);
}

function checkedShare(q: number): number {
  if (!(q > 0 && q < 1)) refuse(`a quantile must lie above 0 and below 1, got ${q}`);
  return q;
}

export function above(what: string, value: number, bound: number): void {
  if (!(value > bound && Number.isFinite(value)))
    refuse(`${what} must be a number above ${bound}, got ${value}`);
}

export function atLeast(what: string, value: number, bound: number): void {
  if (!(value >= bound && Number.isFinite(value)))
    refuse(`${what} must be a number of at least ${bound}, got ${value}`);
}

export function whole(what: string, value: number, bound: number): void {
  if (!(Number.isSafeInteger(value) && value >= bound))
    refuse(`${what} must be a whole number of at least ${bound}, got ${value}`);
}

function refuse(message: string): never {
  throw new MeshError("queueing.domain", message, { fault: "user" });
}
