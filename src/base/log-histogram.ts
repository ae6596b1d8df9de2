/**
 * A histogram of durations that is fine where Prometheus' buckets are wide: eight buckets to the octave.
 *
 * Bucket 0 is below 0.05 ms; octave `e` from there on is cut into eight equal parts, up to one hour. A bucket is at
 * most an eighth of its lower bound wide, so a quantile, taken linearly inside its bucket, is off by a few per cent at
 * worst. The index is found with integers only (one multiplication, one count of leading zeros): it is on a proxy's
 * data path.
 *
 * Histograms of this shape can be added bucket by bucket, whoever took them. They travel sparse (`SparseHistogram`): a
 * service's latencies occupy some twenty of the 211 buckets.
 */

/** Counts by bucket, as pairs of index and count, ascending; empty buckets are left out. */
export type SparseHistogram = readonly (readonly [bucket: number, count: number])[];

const leastMs = 0.05;
const mostMs = 3_600_000;
const subBits = 3;
const perOctave = 1 << subBits;
const scale = perOctave / leastMs;

/** The bucket of a duration in ms; what is longer than an hour counts as an hour, what is below zero as zero. */
export function bucketOf(ms: number): number {
  if (!(ms >= leastMs)) return 0;
  const units = ((ms < mostMs ? ms : mostMs) * scale) | 0; // below 2^30
  const octave = 31 - subBits - Math.clz32(units);
  // Just below `leastMs` by rounding: the first bucket, not one before it.
  if (octave < 0) return 0;
  return 1 + (octave << subBits) + ((units >> octave) & (perOctave - 1));
}

/** Where a bucket begins, inclusive, in ms. */
export function lowerMs(bucket: number): number {
  if (bucket <= 0) return 0;
  const octave = (bucket - 1) >> subBits;
  const part = (bucket - 1) & (perOctave - 1);
  return leastMs * 2 ** octave * (1 + part / perOctave);
}

/** Where a bucket ends, exclusive, in ms. */
export function upperMs(bucket: number): number {
  return lowerMs(bucket + 1);
}

/** The number of buckets; indices are below it. */
export const bucketCount: number = bucketOf(mostMs) + 1;

/** Counts durations. Adds up forever; `sparse` is a copy of what was counted so far. */
export class LogHistogram {
  readonly #counts = new Float64Array(bucketCount);

  observe(ms: number): void {
    const bucket = bucketOf(ms);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  sparse(): SparseHistogram {
    const pairs: [number, number][] = [];
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const count = this.#counts[bucket] ?? 0;
      if (count > 0) pairs.push([bucket, count]);
    }
    return pairs;
  }
}

/** All of several histograms in one. */
export function sum(histograms: Iterable<SparseHistogram>): SparseHistogram {
  for (const histogram of histograms) {
    for (let i = 0; i < histogram.length; i++) {
      const pair = histogram[i];
      if (pair !== undefined) addTo(pair[0], pair[1]);
    }
  }
  return takeScratch();
}

// One for all sums: a sum has some twenty buckets, and to make and walk all of them for each costs far more.
const scratch = new Float64Array(bucketCount);
let lowest = bucketCount;
let highest = -1;

function addTo(bucket: number, count: number): void {
  if (bucket < 0 || bucket >= bucketCount) return;
  scratch[bucket] = (scratch[bucket] ?? 0) + count;
  if (bucket < lowest) lowest = bucket;
  if (bucket > highest) highest = bucket;
}

function takeScratch(): SparseHistogram {
  const pairs: [number, number][] = [];
  for (let bucket = lowest; bucket <= highest; bucket++) {
    const count = scratch[bucket] ?? 0;
    if (count > 0) pairs.push([bucket, count]);
    scratch[bucket] = 0;
  }
  lowest = bucketCount;
  highest = -1;
  return pairs;
}

/** What was counted between two readings of one histogram. */
export function increase(earlier: SparseHistogram, later: SparseHistogram): SparseHistogram {
  const before = new Map(earlier);
  const moved: [number, number][] = [];
  for (const [bucket, count] of later) {
    const more = count - (before.get(bucket) ?? 0);
    if (more > 0) moved.push([bucket, more]);
  }
  return moved;
}

/**
 * The same in as many numbers as buckets are occupied, for those who keep many: bucket × 2^23 + count. A count above
 * 8 million stays at that.
 */
export type PackedHistogram = readonly number[];

const packedCounts = 2 ** 23;

export function packed(histogram: SparseHistogram): PackedHistogram {
  return histogram.map(
    ([bucket, count]) => bucket * packedCounts + Math.min(Math.round(count), packedCounts - 1),
  );
}

export function sumPacked(histograms: Iterable<PackedHistogram>): SparseHistogram {
  for (const histogram of histograms) {
    for (let i = 0; i < histogram.length; i++) {
      const each = histogram[i] ?? 0;
      addTo(Math.floor(each / packedCounts), each % packedCounts);
    }
  }
  return takeScratch();
}

export function unpacked(histogram: PackedHistogram): SparseHistogram {
  return histogram.map((each) => [Math.floor(each / packedCounts), each % packedCounts]);
}

export function countOf(histogram: SparseHistogram): number {
  return histogram.reduce((total, [, count]) => total + count, 0);
}

/**
 * The duration (ms) below which the share `q` (0 … 1) of a histogram lies, taken linearly inside its bucket; undefined
 * where nothing was counted.
 */
export function quantileMs(q: number, histogram: SparseHistogram): number | undefined {
  const rank = q * countOf(histogram);
  let below = 0;
  for (const [bucket, count] of histogram) {
    if (count > 0 && below + count >= rank) {
      const from = lowerMs(bucket);
      return from + (upperMs(bucket) - from) * Math.max(0, (rank - below) / count);
    }
    below += count;
  }
  return undefined;
}
