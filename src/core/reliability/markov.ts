/**
 * Availability from a small continuous-time Markov chain: states, rates, and which states count as up.
 *
 * Shares of time come from state reduction, which keeps full relative precision for availabilities near 1. Mean times
 * to a set of states come from a dense linear solve with partial pivoting; a hundred states take about a millisecond.
 *
 * Source: W. Stewart, Probability, Markov Chains, Queues, and Simulation, 2009, §10; K. Trivedi, Probability and
 * Statistics with Reliability, Queuing, and Computer Science Applications, 2nd ed. 2002, §8.
 */

import { stationary } from "../queueing/stationary.ts";
import { count, notNegative, positive, refuse } from "./domain.ts";

export interface Chain {
  /** `rates[i][j]`: transitions per hour (or any other unit of time) from i to j; the diagonal is ignored. */
  readonly rates: readonly (readonly number[])[];
  readonly isUp: readonly boolean[];
}

export interface Availability {
  /** Share of time in states that are up. */
  readonly availability: number;
  /** 1 − availability, without the cancellation. */
  readonly unavailability: number;
  /** Mean length of an uninterrupted time up (MTTF in the long run), in the rates' unit of time. */
  readonly meanUp: number;
  /** Mean length of an uninterrupted time down (MTTR). */
  readonly meanDown: number;
  readonly shares: readonly number[];
}

/** Long-run availability; MTTF = P(up) / flow from up to down, MTTR = P(down) / the same. */
export function availability(chain: Chain): Availability {
  check(chain);
  const shares = stationary(chain.rates);
  let up = 0;
  let down = 0;
  let flow = 0;
  for (const [i, share] of shares.entries()) {
    if (chain.isUp[i] !== true) {
      down += share;
      continue;
    }
    up += share;
    for (const [j, rate] of (chain.rates[i] ?? []).entries())
      if (j !== i && chain.isUp[j] !== true) flow += share * rate;
  }
  if (flow === 0) refuse("the chain never goes from up to down, or is never up");
  return {
    availability: up,
    unavailability: down,
    meanUp: up / flow,
    meanDown: down / flow,
    shares,
  };
}

/** Mean time from each state until one of `targets` is reached; 0 for those. (−Q restricted)·t = 1. */
export function meanTimeTo(chain: Chain, targets: ReadonlySet<number>): number[] {
  check(chain);
  const others = chain.rates.map((_, i) => i).filter((i) => !targets.has(i));
  const matrix = others.map((i) => {
    const row = chain.rates[i] ?? [];
    const leaving = row.reduce((sum, rate, j) => (j === i ? sum : sum + rate), 0);
    return others.map((j) => (i === j ? leaving : -(row[j] ?? 0)));
  });
  const times = solve(
    matrix,
    others.map(() => 1),
  );
  const result = new Array<number>(chain.rates.length).fill(0);
  for (const [at, i] of others.entries()) result[i] = times[at] ?? 0;
  return result;
}

/** x with matrix·x = right, by Gaussian elimination with partial pivoting. */
export function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i] ?? 0]);
  const size = rows.length;
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column + 1; i < size; i++)
      if (Math.abs(rows[i]?.[column] ?? 0) > Math.abs(rows[pivot]?.[column] ?? 0)) pivot = i;
    const chosen = rows[pivot] ?? [];
    rows[pivot] = rows[column] ?? [];
    rows[column] = chosen;
    const head = chosen[column] ?? 0;
    if (Math.abs(head) < 1e-300)
      refuse("the equations have no single solution: is a target unreachable from some state?");
    for (let i = column + 1; i < size; i++) {
      const row = rows[i] ?? [];
      const factor = (row[column] ?? 0) / head;
      if (factor === 0) continue;
      for (let j = column; j <= size; j++) row[j] = (row[j] ?? 0) - factor * (chosen[j] ?? 0);
    }
  }
  const x = new Array<number>(size).fill(0);
  for (let i = size - 1; i >= 0; i--) {
    const row = rows[i] ?? [];
    let rest = row[size] ?? 0;
    for (let j = i + 1; j < size; j++) rest -= (row[j] ?? 0) * (x[j] ?? 0);
    x[i] = rest / (row[i] ?? 1);
  }
  return x;
}

export interface Repairable {
  /** Replicas in all. */
  readonly replicas: number;
  /** Replicas that must be up for the service to be up. */
  readonly needed: number;
  /** Mean time to failure of one replica, in hours (or any unit, the same for both). */
  readonly meanTimeToFailure: number;
  readonly meanTimeToRepair: number;
  /** How many are repaired at a time; all of them unless told. */
  readonly repairers?: number;
}

/** n replicas that fail and are repaired independently, as a birth–death chain; state i: i replicas are down. */
export function repairable(system: Repairable): Chain {
  const { replicas, needed, repairers = replicas } = system;
  count("the number of replicas", replicas, 1);
  count("the number of replicas needed", needed, 1);
  count("the number of repairers", repairers, 1);
  positive("the mean time to failure", system.meanTimeToFailure);
  positive("the mean time to repair", system.meanTimeToRepair);
  if (needed > replicas) refuse(`${needed} replicas are needed, and there are only ${replicas}`);
  const states = Array.from({ length: replicas + 1 }, (_, down) => down);
  return {
    rates: states.map((from) =>
      states.map((to) => {
        if (to === from + 1) return (replicas - from) / system.meanTimeToFailure;
        if (to === from - 1) return Math.min(from, repairers) / system.meanTimeToRepair;
        return 0;
      }),
    ),
    isUp: states.map((down) => replicas - down >= needed),
  };
}

function check(chain: Chain): void {
  count("the number of states", chain.rates.length, 1);
  if (chain.isUp.length !== chain.rates.length)
    refuse(`${chain.rates.length} states have rates, ${chain.isUp.length} say whether they are up`);
  for (const row of chain.rates) {
    if (row.length !== chain.rates.length) refuse("the rates must form a square");
    for (const rate of row) notNegative("a rate", rate);
  }
}
