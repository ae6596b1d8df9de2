/**
 * How many requests one replica serves at a time, from how long responses took by how many were under way when theirs
 * arrived.
 *
 * With c workers that serve in order, a request that finds n < c others is served at once; one that finds more waits
 * for n − c + 1 departures, each s/c apart, the first of which is already under way. So the mean response is flat up to
 * c and then a line, E[R | n] = s · (1 + (n − c + θ)/c), θ = (1 + SCV)/2 the residual part of the first (1 for
 * exponential service; L. Kleinrock, Queueing Systems I, §5.2, mean residual life). The c whose shape lies nearest
 * wins, by least squares weighted with what is known of each mean. Where even the busiest moments show no line, no
 * limit was seen.
 *
 * Not here: processor sharing, which looks like one worker from here, and has about its mean.
 */

import type { FoundCounts } from "../../model/observation.ts";

export type Workers =
  | { readonly kind: "seen"; readonly workers: number }
  /** Requests did not wait for each other, with so many others under way. */
  | { readonly kind: "unlimited"; readonly others: number }
  /** Requests hardly ever met: nothing is known. */
  | { readonly kind: "unknown" };

/** Fewer say nothing of the mean of a level. */
const fewest = 8;
/** Beside the statistical error of a mean: what no model explains, as a share of it. */
const unexplained = 0.05;
/** Without a limit explains nearly as well: then none was seen. */
const asGood = 1.5;

interface Level {
  readonly found: number;
  readonly meanMs: number;
  /** 1 / (error of the mean)². */
  readonly weight: number;
}

export function inferWorkers(found: readonly FoundCounts[]): Workers {
  const levels = levelsOf(found);
  const last = levels.at(-1);
  if (levels.length < 2 || last === undefined) return { kind: "unknown" };
  const theta = (1 + aloneScv(found)) / 2;
  const none = misfit(levels, () => 1);
  let best = { workers: 0, misfit: Number.POSITIVE_INFINITY };
  for (let workers = 1; workers <= last.found; workers++) {
    const here = misfit(levels, (n) => (n < workers ? 1 : 1 + (n - workers + theta) / workers));
    if (here < best.misfit) best = { workers, misfit: here };
  }
  // Each level is off by about one error of its own by chance.
  if (none <= asGood * best.misfit || none <= levels.length)
    return { kind: "unlimited", others: last.found };
  return { kind: "seen", workers: best.workers };
}

/** The SCV of service, of requests that found nobody: they were served at once. 1 where there are too few. */
function aloneScv([alone]: readonly FoundCounts[]): number {
  const [requests, sumMs, squareSumMs2] = alone ?? [0, 0, 0];
  if (requests < fewest || sumMs === 0) return 1;
  return Math.min(4, Math.max(0, (squareSumMs2 * requests) / (sumMs * sumMs) - 1));
}

function levelsOf(counts: readonly FoundCounts[]): Level[] {
  return counts.flatMap(([requests, sumMs, squareSumMs2], found) => {
    if (requests < fewest) return [];
    const meanMs = sumMs / requests;
    const variance = Math.max(0, squareSumMs2 / requests - meanMs * meanMs);
    const error2 = variance / requests + (unexplained * meanMs) ** 2;
    return error2 > 0 ? [{ found, meanMs, weight: 1 / error2 }] : [];
  });
}

/** Weighted squares that are left when the shape is scaled to the means as well as it can be. */
function misfit(levels: readonly Level[], shape: (found: number) => number): number {
  let across = 0;
  let square = 0;
  for (const { found, meanMs, weight } of levels) {
    const x = shape(found);
    across += weight * x * meanMs;
    square += weight * x * x;
  }
  const scale = across / square;
  return levels.reduce(
    (sum, { found, meanMs, weight }) => sum + weight * (meanMs - scale * shape(found)) ** 2,
    0,
  );
}
