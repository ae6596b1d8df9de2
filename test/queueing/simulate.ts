/**
 * A small discrete-event simulation that queueing models are judged by: seeded, so that it always says the same.
 *
 * Open Poisson arrivals; servers work first come, first served. Either one queue feeds all servers, or a balancer sends
 * each request to one replica at once. Each client balances by what it has under way itself, as sidecars do.
 */

import { type Random, seededRandom } from "../../src/base/random.ts";

export interface Simulation {
  readonly arrivalsPerSecond: number;
  readonly replicas: number;
  readonly queue: "central" | "random" | "least-request" | "round-robin";
  /** Draws one service time in ms. */
  readonly service: (random: Random) => number;
  readonly requests: number;
  readonly seed: number;
  /** Callers that balance separately; 1 unless told. */
  readonly clients?: number;
}

export function exponentialService(meanMs: number): (random: Random) => number {
  return (random) => -Math.log1p(-random()) * meanMs;
}

export function constantService(ms: number): (random: Random) => number {
  return () => ms;
}

/** Erlang-k: a sum of k exponentials, squared coefficient of variation 1/k. */
export function erlangService(stages: number, meanMs: number): (random: Random) => number {
  return (random) => {
    let total = 0;
    for (let i = 0; i < stages; i++) total -= Math.log1p(-random());
    return (total * meanMs) / stages;
  };
}

/** Response times in ms, ascending; the first tenth of the run is not counted. */
export function simulate(simulation: Simulation): Float64Array {
  const { replicas, requests, service } = simulation;
  const random = seededRandom(simulation.seed);
  const freeAt = new Float64Array(replicas);
  const choose = chooser(simulation, random);
  const responses = new Float64Array(requests);
  const gapMs = 1000 / simulation.arrivalsPerSecond;
  let now = 0;
  for (let i = 0; i < requests; i++) {
    now -= Math.log1p(-random()) * gapMs;
    const target = choose.pick(now, freeAt);
    const end = Math.max(now, freeAt[target] ?? 0) + service(random);
    freeAt[target] = end;
    choose.ends(target, end);
    responses[i] = end - now;
  }
  return responses.subarray(Math.floor(requests / 10)).sort();
}

export function quantileOf(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

export function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

interface Chooser {
  pick(now: number, freeAt: Float64Array): number;
  ends(target: number, at: number): void;
}

function chooser({ queue, replicas, clients = 1 }: Simulation, random: Random): Chooser {
  const draw = (): number => Math.floor(random() * replicas);
  const turns = Array.from({ length: clients }, draw);
  let key = 0;
  // Ends of what each client has under way at each replica: ascending, because replicas serve in order.
  const underWay = Array.from({ length: replicas * clients }, () => ({
    ends: [] as number[],
    done: 0,
  }));
  const active = (index: number, now: number): number => {
    const list = underWay[index];
    if (list === undefined) return 0;
    while ((list.ends[list.done] ?? Number.POSITIVE_INFINITY) <= now) list.done++;
    if (list.done > 1000) {
      list.ends.splice(0, list.done);
      list.done = 0;
    }
    return list.ends.length - list.done;
  };
  return {
    pick(now, freeAt) {
      switch (queue) {
        case "central":
          return freeAt.indexOf(Math.min(...freeAt));
        case "round-robin": {
          const client = Math.floor(random() * clients);
          const turn = turns[client] ?? 0;
          turns[client] = turn + 1;
          return turn % replicas;
        }
        case "random":
          return draw();
        case "least-request": {
          const client = clients === 1 ? 0 : Math.floor(random() * clients);
          const a = draw();
          const b = draw();
          const base = client * replicas;
          const chosen = active(base + b, now) < active(base + a, now) ? b : a;
          key = base + chosen;
          return chosen;
        }
      }
    },
    ends(_target, at) {
      if (queue === "least-request") underWay[key]?.ends.push(at);
    },
  };
}
