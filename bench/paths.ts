/**
 * The ways that a bench compares (ours, a rival's, the direct one), measured in turns, so that what else the machine does
 * hits all alike; of each figure the median counts.
 */

import { medianOf, round } from "./figures.ts";
import { cpuMicroseconds, type Pinned } from "./processes.ts";

export interface Path {
  readonly name: string;
  readonly port: number;
  /** Whose CPU is counted. */
  readonly counted: readonly Pinned[];
}

/** What one run measured, by what it is. */
export type Sample = Readonly<Record<string, number>>;

/** Per path: the median of each figure, and the runs that it is of. */
export interface Figures {
  readonly medians: Sample;
  readonly runs: readonly Sample[];
}

/** Measures each path `runs` times, in turns, after `warmUp` of each. */
export async function inTurns<P extends Path>(
  paths: readonly P[],
  runs: number,
  warmUp: (path: P) => Promise<unknown>,
  measure: (path: P) => Promise<Sample>,
): Promise<ReadonlyMap<string, Figures>> {
  for (const path of paths) await warmUp(path); // compilers, pools, TLS sessions
  const samples = new Map<string, Sample[]>(paths.map((path) => [path.name, []]));
  for (let i = 0; i < runs; i++) {
    for (const path of paths) samples.get(path.name)?.push(await measure(path));
  }
  return new Map([...samples].map(([name, all]) => [name, { medians: mediansOf(all), runs: all }]));
}

/** User and system time that a path's processes have taken so far, in microseconds. */
export function cpuOf(path: Path): number {
  return path.counted.reduce((sum, { process: { pid } }) => sum + cpuMicroseconds(pid ?? 0), 0);
}

/** Ours over each of the others, of one figure. */
export function ratiosOf(
  figures: ReadonlyMap<string, Figures>,
  figure: string,
  ours = "heddle",
): Record<string, number> {
  const of = (name: string) => figures.get(name)?.medians[figure] ?? 0;
  const others = [...figures.keys()].filter((name) => name !== ours);
  return Object.fromEntries(others.map((name) => [name, round(of(ours) / of(name))]));
}

function mediansOf(samples: readonly Sample[]): Sample {
  const names = Object.keys(samples[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, round(medianOf(samples.map((sample) => sample[name] ?? 0)))]),
  );
}
