/**
 * The least busy host: of so many that are drawn by weight, or of all.
 *
 * Two draws are nearly as good as looking at all, for the price of two draws. Where somebody asks for more than that, a
 * pick costs a look at every host: where weights are equal the least busy gets the request, chance deciding among
 * equals; where they differ, each host gets its part of `weight / load^bias` as it is right then, spread evenly.
 */

import type { Random } from "../../../base/random.ts";
import type { BalancerPolicy } from "../../../model/proxy-config.ts";
import type { Candidate, Picker } from "./picker.ts";
import { smoothRounds } from "./round-robin.ts";

type LeastRequest = Extract<BalancerPolicy, { kind: "least-request" }>;

/**
 * A configuration may ask for any number of draws; with so many, one of equal hosts is left out once in
 * nine million picks.
 */
const maxDrawsPerHost = 16;

/** `draw` takes a host with a probability proportional to its weight. */
export function leastRequest<C extends Candidate>(
  hosts: readonly C[],
  { choices = 2, bias }: LeastRequest,
  draw: () => C,
  random: Random,
): Picker<C> {
  const isEven = hosts.every(({ weight }) => weight === hosts[0]?.weight);
  // Bias weighs weights against load: where nobody's weight is another it says nothing.
  if (!isEven && (bias !== undefined || choices === "all")) {
    const power = bias ?? 1;
    return smoothRounds(hosts, (host) => host.weight / loadOf(host) ** power, random);
  }
  if (choices === "all") return { pick: leastOfAll(hosts, random) };
  return { pick: leastDrawn(draw, Math.min(choices, maxDrawsPerHost * hosts.length)) };
}

/** Requests that are there with one more, each as heavy as the host's failures make it. */
export function loadOf(host: Candidate): number {
  return (host.active + 1) * host.strain;
}

function leastDrawn<C extends Candidate>(draw: () => C, choices: number): () => C {
  return () => {
    let best = draw();
    for (let drawn = 1; drawn < choices; drawn++) {
      const other = draw();
      if (loadOf(other) < loadOf(best)) best = other;
    }
    return best;
  };
}

function leastOfAll<C extends Candidate>(hosts: readonly C[], random: Random): () => C | undefined {
  return () => {
    let best: C | undefined;
    let least = Infinity;
    let equals = 0;
    for (const host of hosts) {
      const load = loadOf(host);
      if (load > least) continue;
      equals = load < least ? 1 : equals + 1;
      least = load;
      // The first of n equals stays with a probability of 1/n.
      if (random() * equals < 1) best = host;
    }
    return best;
  };
}
