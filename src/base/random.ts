/** Randomness as a parameter: uniform in [0, 1). Shells pass `Math.random`; tests pass a seeded generator. */
export type Random = () => number;

/** Mulberry32: a small seeded generator, good enough for tests and load spreading, not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
