/**
 * What a host that goes up and down is worth under ejection.
 *
 * A renewal process in the manner of Envoy's detector: while the host is in service and down, clients notice after the
 * detection time and eject it for base × (number of ejections so far), at most the longest time. It returns whether it
 * is up or not; if it is down, it is noticed again and out for longer. For each interval in service without trouble one
 * earlier ejection is forgotten.
 *
 * Up, down, detection and forgetting are taken as exponential, the ejection as fixed: a semi-Markov process, whose
 * shares of time are those of its embedded chain weighted by how long each state lasts.
 * Source: S. Ross, Stochastic Processes, 2nd ed. 1996, §4.8 (semi-Markov processes); Envoy, outlier detection.
 */

import { stationary } from "../queueing/stationary.ts";
import { positive } from "./domain.ts";

export interface Flapping {
  /** Mean time that the host is well, then not. */
  readonly meanUpMs: number;
  readonly meanDownMs: number;
  /** Mean time to notice, as `detection` gives it. */
  readonly detectionMs: number;
  /** Istio's baseEjectionTime. */
  readonly baseEjectionMs: number;
  /** Envoy's max_ejection_time: 300 s unless told. */
  readonly longestEjectionMs?: number;
  /** Istio's outlier detection interval; 10 s unless told. */
  readonly intervalMs?: number;
}

/** Shares of time; they add up to 1. */
export interface FlappingShares {
  readonly serving: number;
  /** In service while down: what callers notice. */
  readonly failing: number;
  /** Ejected while well: capacity given away. */
  readonly idle: number;
  /** Ejected while down: what ejection is for. */
  readonly shielded: number;
  /** Of the time in service, the share in which it is well. */
  readonly availabilityInService: number;
}

/** Times in ms, all above 0. */
export function flapping(host: Flapping): FlappingShares {
  const { meanUpMs, meanDownMs, detectionMs, baseEjectionMs } = host;
  const { longestEjectionMs = 300_000, intervalMs = 10_000 } = host;
  positive("the mean time up in ms", meanUpMs);
  positive("the mean time down in ms", meanDownMs);
  positive("the time to detect in ms", detectionMs);
  positive("the base ejection time in ms", baseEjectionMs);
  positive("the longest ejection time in ms", longestEjectionMs);
  positive("the detection interval in ms", intervalMs);
  // The count goes on when the time no longer grows, and must be forgotten again; beyond a hundred more it hardly is.
  const levels = Math.min(400, Math.ceil(longestEjectionMs / baseEjectionMs) + 100);
  const up = (level: number): number => 2 * level;
  const down = (level: number): number => 2 * level + 1;
  const size = 2 * (levels + 1);
  const jumps = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  const lasts = new Array<number>(size).fill(0);
  const shielded = new Array<number>(size).fill(0);
  const idle = new Array<number>(size).fill(0);
  const add = (from: number, to: number, p: number): void => {
    const row = jumps[from];
    if (row !== undefined) row[to] = (row[to] ?? 0) + p;
  };
  for (let level = 0; level <= levels; level++) {
    const forgetRate = level > 0 ? 1 / intervalMs : 0;
    const upRate = 1 / meanUpMs + forgetRate;
    lasts[up(level)] = 1 / upRate;
    add(up(level), down(level), 1 / meanUpMs / upRate);
    if (level > 0) add(up(level), up(level - 1), forgetRate / upRate);

    const downRate = 1 / meanDownMs + 1 / detectionMs;
    const noticed = 1 / detectionMs / downRate;
    lasts[down(level)] = 1 / downRate;
    add(down(level), up(level), 1 - noticed);
    // The ejection that follows is a part of this state's visit: only then does the process choose anew.
    const next = Math.min(level + 1, levels);
    const outMs = Math.min(baseEjectionMs * (level + 1), longestEjectionMs);
    const { wellAtEnd, wellMs } = recovery(meanUpMs, meanDownMs, outMs);
    add(down(level), up(next), noticed * wellAtEnd);
    add(down(level), down(next), noticed * (1 - wellAtEnd));
    idle[down(level)] = noticed * wellMs;
    shielded[down(level)] = noticed * (outMs - wellMs);
  }
  const visits = stationary(jumps, 2);
  const total = { serving: 0, failing: 0, idle: 0, shielded: 0 };
  for (const [state, visit] of visits.entries()) {
    if (state % 2 === 0) total.serving += visit * (lasts[state] ?? 0);
    else total.failing += visit * (lasts[state] ?? 0);
    total.idle += visit * (idle[state] ?? 0);
    total.shielded += visit * (shielded[state] ?? 0);
  }
  const all = total.serving + total.failing + total.idle + total.shielded;
  return {
    serving: total.serving / all,
    failing: total.failing / all,
    idle: total.idle / all,
    shielded: total.shielded / all,
    availabilityInService: total.serving / (total.serving + total.failing),
  };
}

/** A host that is down now: is it well after so long, and how long was it well meanwhile, on average. */
function recovery(
  meanUpMs: number,
  meanDownMs: number,
  afterMs: number,
): { readonly wellAtEnd: number; readonly wellMs: number } {
  const longRun = meanUpMs / (meanUpMs + meanDownMs);
  const rate = 1 / meanUpMs + 1 / meanDownMs;
  const changed = -Math.expm1(-rate * afterMs);
  return { wellAtEnd: longRun * changed, wellMs: longRun * (afterMs - changed / rate) };
}
