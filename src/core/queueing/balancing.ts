/**
 * How a balancer's replicas lie between one queue for all and a queue each: the weights for `replicas`.
 *
 * Two choices compared by load come close to one central queue the busier the replicas are, and less so with several
 * clients, as each client knows only of its own requests. There is no closed form for few replicas, so the weight is
 * fitted: 240 simulations of 2, 3, 4, 8 and 16 replicas, 1 to 16 clients, ρ from 0.2 to 0.9, constant and exponential
 * service. `replicas.ts` says how well it does.
 */

/**
 * The weight of a queue each (0: one central queue) under the power of two choices, drawn with replacement as Envoy
 * does. At low load it tends to 1/c, the chance that both draws are the same host.
 * Idea: M. Mitzenmacher, The power of two choices in randomized load balancing, IEEE TPDS 12 (2001). Form and numbers
 * are our own.
 */
export function twoChoicesWeight(replicas: number, rho: number, clients: number): number {
  if (replicas === 1) return 1;
  const blind = 1 / replicas;
  const swayed = 1.74 * rho * (1 - 0.727 / replicas);
  const alone = (1 - rho ** 0.785) ** 0.956 * (blind + (1 - blind) * swayed);
  const informed = 1 / (1 + 0.664 * (clients - 1) ** 0.729 * (1 - rho) ** 1.05);
  return Math.min(1, Math.max(0, 1 - (1 - alone) * informed));
}

/** The same for one quantile: balancing helps the tail more than the median, the more so under load. */
export function twoChoicesWeightAt(q: number, weight: number, rho: number): number {
  const depth = -Math.log10(1 - q); // 1 at p90, 2 at p99
  return Math.min(1, weight * depth ** (-0.564 * rho ** 3.67));
}

/**
 * The weight of random choice (0: one client that takes turns) when `clients` equal clients take turns independently:
 * many streams dealt in turn look like one dealt at random, up to the time that a busy queue remembers. Fitted to 120
 * simulations; the classical superposition formulas err by up to half in the tail here.
 */
export function takingTurnsWeight(rho: number, clients: number): number {
  return 1 - 1 / (1 + 0.5 * (clients - 1) * (1 - rho) ** 1.5);
}

/**
 * E_c/M/1: the share σ of requests that wait when every c-th of a Poisson stream comes, service being exponential with
 * mean 1: the root below 1 of σ = (cρ / (cρ + 1 − σ))^c. The response is exponential with mean 1/(1−σ).
 * Source: L. Kleinrock, Queueing Systems I, 1975, §6.4 (G/M/1).
 */
export function erlangArrivalsWaitShare(phases: number, rho: number): number {
  const rate = phases * rho;
  const gap = (sigma: number): number => sigma - Math.exp(-phases * Math.log1p((1 - sigma) / rate));
  let low = 0;
  let high = 1 - 1e-12; // 1 is always a root, the other lies below where the gap is positive
  if (rho === 0) return 0;
  while (gap(high) < 0 && high > 0.5) high = 1 - (1 - high) * 2;
  for (let step = 0; step < 100; step++) {
    const middle = (low + high) / 2;
    if (gap(middle) < 0) low = middle;
    else high = middle;
  }
  return high;
}
