/**
 * Choosing a host: an immutable picker over the hosts that may be used, swapped whenever that list changes.
 *
 * Whoever picks never waits and never sees half a change. Load is read from the hosts themselves (`active`), so a new
 * picker starts with what the old one knew. Consistent hashing (ring-hash.ts, maglev.ts) picks by the request's key
 * instead, and by load only where it is told to (bounded-load.ts).
 */

import { unreachable } from "../../../base/error.ts";
import type { Random } from "../../../base/random.ts";
import type { BalancerPolicy } from "../../../model/proxy-config.ts";
import { boundedLoad } from "./bounded-load.ts";
import { leastRequest, loadOf } from "./least-request.ts";
import { maglev } from "./maglev.ts";
import { ringHash } from "./ring-hash.ts";
import { smoothRounds } from "./round-robin.ts";
import type { SubsetName } from "./subsets.ts";

/** What a balancer sees of a host. */
export interface Candidate {
  /** Who it is: the same wherever it is known, and nobody else's. */
  readonly key: string;
  /** What consistent hashing knows it by instead. */
  readonly hashedAs?: string | undefined;
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
  /**
   * `key`: the request's hash, where there is one; `wanted`: the part of the hosts that is meant, where they have parts.
   * Undefined when there is nobody to pick.
   */
  pick(key?: number, wanted?: SubsetName): C | undefined;
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
      return leastRequest(usable, policy, draw, random);
    case "peak-ewma":
      return { pick: () => faster(draw(), draw()) };
    case "ring-hash":
    case "maglev":
      return hashing(usable, policy, () => random() * 2 ** 32);
    case "round-robin":
      return smoothRounds(usable, ({ weight }) => weight, random);
    case "random":
      return { pick: draw };
    default:
      return unreachable(policy);
  }
}

function hashing<C extends Candidate>(
  hosts: readonly C[],
  policy: Extract<BalancerPolicy, { kind: "ring-hash" | "maglev" }>,
  randomHash: () => number,
): Picker<C> {
  const { balancePercent } = policy;
  const owners =
    policy.kind === "maglev"
      ? maglev(hosts, policy.tableSize, randomHash)
      : ringHash(hosts, policy, randomHash);
  if (balancePercent === undefined) return owners;
  return boundedLoad(owners, hosts, balancePercent, randomHash);
}

/** Of two, by the time that a request is likely to take: what is under way, times how long each takes (Finagle's). */
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
