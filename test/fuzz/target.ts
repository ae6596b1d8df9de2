/**
 * What a codec gives to be fuzzed, and the loop that does it.
 *
 * A check throws when an invariant breaks. The loop adds what no single check can see: an input that takes too long, and
 * memory that grows from one half of the run to the other.
 */

import { seededRandom } from "../../src/base/random.ts";
import { type Corpus, Mutator } from "./mutate.ts";

export interface FuzzTarget {
  readonly name: string;
  readonly corpus: Corpus;
  /** Throws when `bytes` break an invariant. Answers whether they were accepted, so that a run can say how deep it got. */
  check(bytes: Uint8Array): boolean;
}

export interface FuzzReport {
  readonly target: string;
  readonly inputs: number;
  readonly accepted: number;
  readonly slowestMs: number;
  readonly grownBytes: number;
  readonly seconds: number;
}

/**
 * An input has a few hundred bytes: what takes this long hangs. Twice, for a machine with other work to do may let anything
 * wait as long, once.
 */
const hangMs = 2_000;
/** What the heap may have grown by between a run's middle and its end, when everything unused was collected. */
const maxGrownBytes = 8 * 1024 * 1024;

export function fuzz(target: FuzzTarget, count: number, seed: number): FuzzReport {
  const mutator = new Mutator(target.corpus, seededRandom(seed));
  const startedAt = performance.now();
  let accepted = 0;
  let slowestMs = 0;
  let middle = 0;
  for (let i = 0; i < count; i++) {
    const bytes = mutator.next();
    const before = performance.now();
    try {
      if (target.check(bytes)) accepted++;
    } catch (cause) {
      const shown = Buffer.from(bytes).toString("latin1");
      throw new Error(`${target.name}, seed ${seed}, input ${i}: ${JSON.stringify(shown)}`, {
        cause,
      });
    }
    const took = performance.now() - before;
    if (took > slowestMs) slowestMs = took;
    if (took > hangMs && msFor(target, bytes) > hangMs)
      throw new Error(`${target.name}: input ${i} of seed ${seed} took ${took} ms`);
    if (i === count >> 1) middle = heapBytes();
  }
  const grownBytes = heapBytes() - middle;
  if (globalThis.gc !== undefined && grownBytes > maxGrownBytes) {
    throw new Error(`${target.name}: the heap grew by ${grownBytes} bytes over half the run`);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  return { target: target.name, inputs: count, accepted, slowestMs, grownBytes, seconds };
}

function msFor(target: FuzzTarget, bytes: Uint8Array): number {
  const before = performance.now();
  target.check(bytes);
  return performance.now() - before;
}

/** After a collection where Node lets us ask for one (`--expose-gc`). */
function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
