/**
 * Choosing a host: an immutable picker over the hosts that may be used, swapped whenever that list changes.
 *
 * Whoever picks never waits and never sees half a change. Load is read from the hosts themselves (`active`), so a new
 * picker starts with what the old one knew. Consistent hashing (ring-hash.ts, maglev.ts) picks by the request's key
 * instead.
 */

import { unreachable } from "../../../base/error.ts";
import type { Random } from "../../../base/random.ts";
import type { BalancerPolicy } from "../../../model/proxy-config.ts";
import { maglev } from "./maglev.ts";
import { ringHash } from "./ring-hash.ts";

/** What a balancer sees of a host. */
export interface Candidate {
  /** What consistent hashing knows it by: the same wherever it is known. */
  readonly key: string;
  readonly weight: number;
  /** Requests and tunnels under way. */
  readonly active: number;
  /**
   * What one more request costs there, against 1 where nothing fails: a host that fails at once has nothing under way,
   * and would draw all traffic to itself.
   */
  readonly strain: number;
  /** Milliseconds that answers take, the slow ones remembered (peak-EWMA). */
  readonly latencyMs: number;
}

export interface Picker<C extends Candidate> {
  /** `key`: the request's hash, where there is one. Undefined when there is nobody to pick. */
  pick(key?: number): C | undefined;
}

export function createPicker<C extends Candidate>(
  policy: BalancerPolicy,
  hosts: readonly C[],
  random: Random,
): Picker<C> {
  const usable = hosts.filter((host) => host.weight > 0);
  const [only] = usable;
  if (only === undefined) return { pick: () => undefined };
  if (usable.length === 1) return { pick: () => only };
  const draw = drawer(usable, random);
  switch (policy.kind) {
    case "least-request":
      return { pick: leastLoaded(draw, policy.choices ?? 2) };
    case "peak-ewma":
      return { pick: () => faster(draw(), draw()) };
    case "ring-hash":
      return ringHash(usable, policy, () => random() * 2 ** 32);
    case "maglev":
      return maglev(usable, policy.tableSize, () => random() * 2 ** 32);
    case "round-robin":
      return roundRobin(usable, random);
    case "random":
      return { pick: draw };
    default:
      return unreachable(policy);
  }
}

/** Power of two choices: nearly as good as the least loaded of all, for the price of two draws. */
function leastLoaded<C extends Candidate>(draw: () => C, choices: number): () => C {
  return () => {
    let best = draw();
    for (let drawn = 1; drawn < choices; drawn++) {
      const other = draw();
      if (loadOf(other) < loadOf(best)) best = other;
    }
    return best;
  };
}

function loadOf(host: Candidate): number {
  return (host.active + 1) * host.strain;
}

/** The same by the time that a request is likely to take: what is under way, times how long each takes (Finagle's). */
function faster<C extends Candidate>(a: C, b: C): C {
  return b.latencyMs * loadOf(b) < a.latencyMs * loadOf(a) ? b : a;
}

/** Draws a host with a probability proportional to its weight. */
function drawer<C extends Candidate>(
  hosts: readonly [C, ...C[]] | readonly C[],
  random: Random,
): () => C {
  const [first] = hosts;
  if (first === undefined) throw new RangeError("draw from no hosts");
  const isEven = hosts.every((host) => host.weight === first.weight);
  if (isEven) return () => hosts[Math.floor(random() * hosts.length)] ?? first;
  const bounds: number[] = [];
  let total = 0;
  for (const host of hosts) {
    total += host.weight;
    bounds.push(total);
  }
  return () => {
    const point = random() * total;
    let low = 0;
    let high = bounds.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((bounds[middle] ?? 0) > point) high = middle;
      else low = middle + 1;
    }
    return hosts[low] ?? first;
  };
}

/** Smooth weighted round robin: every host in proportion to its weight, never in bursts. Starts anywhere. */
function roundRobin<C extends Candidate>(hosts: readonly C[], random: Random): Picker<C> {
  const [first] = hosts;
  const total = hosts.reduce((sum, host) => sum + host.weight, 0);
  const credits = hosts.map((host) => random() * host.weight);
  return {
    pick() {
      let best = 0;
      for (let i = 0; i < hosts.length; i++) {
        credits[i] = (credits[i] ?? 0) + (hosts[i]?.weight ?? 0);
        if ((credits[i] ?? 0) > (credits[best] ?? 0)) best = i;
      }
      credits[best] = (credits[best] ?? 0) - total;
      return hosts[best] ?? first;
    },
  };
}
