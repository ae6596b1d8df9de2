/**
 * How many there are of something, as shares: of the time, or of the cases, in which it is 0, 1, 2 and so on.
 *
 * What is rarer than one in a billion at either end is left out, so that there is little to add up.
 */

export type Counts = readonly number[];

const rare = 1e-9;

/** From weights of 0, 1, 2 …, which need not add up. */
export function countsOf(weights: readonly number[]): Counts {
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const first = rareUpTo(weights, all);
  const length = weights.length - rareUpTo(weights.toReversed(), all);
  return weights.slice(0, length).map((weight, n) => (n < first ? 0 : weight / all));
}

/** So many from the start are rare, all together. */
function rareUpTo(weights: readonly number[], all: number): number {
  let sum = 0;
  return weights.findIndex((weight) => {
    sum += weight;
    return sum > rare * all;
  });
}

/** How many come where so many come on average, none for another's sake. */
export function poisson(mean: number): Counts {
  return atStation(mean, Number.POSITIVE_INFINITY);
}

/** Requests at a station of `workers` that has work for `load` of them: M/M/c. Without end it would be from 95 % on. */
export function atStation(load: number, workers: number): Counts {
  const busy = Math.min(load, 0.95 * workers);
  const mode = Math.floor(busy);
  // From the most frequent outwards, so that no weight is too large: each is the one before it times busy / min(n, c).
  const below = [1];
  for (let n = mode; n > 0; n--) below.push(((below.at(-1) ?? 0) * n) / busy);
  const weights = below.reverse();
  for (let n = mode + 1; (weights.at(-1) ?? 0) > rare * rare; n++) {
    weights.push(((weights.at(-1) ?? 0) * busy) / Math.min(n, workers));
  }
  return countsOf(weights);
}

/** Of those that there are, each counts with the chance `share`, whatever becomes of the others. */
export function thinned(counts: Counts, share: number): Counts {
  if (share >= 1) return counts;
  const kept = counts.map(() => 0);
  let chances = [1]; // of n, that 0, 1, … count
  for (const weight of counts) {
    for (const [k, chance] of chances.entries()) kept[k] = (kept[k] ?? 0) + weight * chance;
    chances = [...chances, 0].map(
      (chance, k) => chance * (1 - share) + (chances[k - 1] ?? 0) * share,
    );
  }
  return countsOf(kept);
}

/** The larger of the two, in each case. */
export function noFewerThan(least: number, counts: Counts): Counts {
  const raised = Array.from({ length: Math.max(counts.length, least + 1) }, () => 0);
  for (const [n, share] of counts.entries()) {
    const at = Math.max(n, least);
    raised[at] = (raised[at] ?? 0) + share;
  }
  return raised;
}

/** Of two that do not depend on each other. */
export function sumOf(a: Counts, b: Counts): Counts {
  const sums = Array.from({ length: a.length + b.length - 1 }, () => 0);
  const [firstOfA, firstOfB] = [a, b].map((each) => each.findIndex((share) => share > 0));
  for (let i = firstOfA ?? 0; i < a.length; i++) {
    for (let j = firstOfB ?? 0; j < b.length; j++) {
      sums[i + j] = (sums[i + j] ?? 0) + (a[i] ?? 0) * (b[j] ?? 0);
    }
  }
  return countsOf(sums);
}

/** Of so many that are alike and do not depend on each other. */
export function sumOfAlike(counts: Counts, many: number): Counts {
  if (many <= 1) return many === 1 ? counts : [1];
  const half = sumOfAlike(counts, Math.floor(many / 2));
  const even = sumOf(half, half);
  return many % 2 === 0 ? even : sumOf(even, counts);
}

export function meanOf(counts: Counts): number {
  return counts.reduce((sum, share, n) => sum + share * n, 0);
}

/** The smallest that is not exceeded in the share `q` of cases. */
export function quantileOf(counts: Counts, q: number): number {
  let below = 0;
  for (const [n, share] of counts.entries()) {
    below += share;
    if (below >= q) return n;
  }
  return counts.length - 1;
}
