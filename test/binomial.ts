/**
 * Whether `count` of `n` may be chance, each with probability `p`: a fair system has a count this far out, or farther,
 * less than once in a thousand million runs. Exact, since the normal distribution is wrong so far from its middle.
 */
export function isBinomial(count: number, n: number, p: number): boolean {
  if (p <= 0 || p >= 1) return count === n * p;
  let [atMost, atLeast] = [0, 0];
  let log = n * Math.log1p(-p); // of the probability of k
  for (let k = 0; k <= n; k++) {
    if (k <= count) atMost += Math.exp(log);
    if (k >= count) atLeast += Math.exp(log);
    log += Math.log((n - k) / (k + 1)) + Math.log(p / (1 - p));
  }
  return Math.min(atMost, atLeast) > 0.5e-9;
}
