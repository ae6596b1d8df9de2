/**
 * From what sidecars have counted since they started to what happened between two readings.
 *
 * A sidecar that started anew starts from nothing, and so does one that started after the reader did. One that was
 * there before the reader has a past of unknown length: its first reading only says where to count from.
 */

import { increase } from "../../base/log-histogram.ts";
import type {
  EdgeCounts,
  EndpointLoss,
  ServingCounts,
  SidecarObservation,
} from "../../model/observation.ts";

export type Increase = Pick<SidecarObservation, "edges" | "serving" | "losses">;

/** The last reading of each sidecar. */
export class Readings {
  readonly #since: number;
  #last = new Map<string, SidecarObservation>();

  /** `since`: when the reader began to read, ms since the epoch. */
  constructor(since: number) {
    this.#since = since;
  }

  /** Takes a reading and answers what is new in it. Series that did not move are left out. */
  advance(sidecar: string, now: SidecarObservation): Increase {
    const before = this.#last.get(sidecar);
    this.#last.set(sidecar, now);
    if (before?.start === now.start) return between(before, now);
    return now.startedAt >= this.#since || before !== undefined ? between(nothing, now) : nothing;
  }

  /** Forgets the sidecars that are gone. */
  retain(sidecars: ReadonlySet<string>): void {
    for (const sidecar of this.#last.keys()) {
      if (!sidecars.has(sidecar)) this.#last.delete(sidecar);
    }
  }
}

const nothing: Increase = { edges: [], serving: [], losses: [] };

function between(before: Increase, now: Increase): Increase {
  const edges = new Map(before.edges.map((edge) => [edgeKey(edge), edge]));
  const serving = new Map(before.serving.map((each) => [servingKey(each), each]));
  const losses = new Set(before.losses.map(lossKey));
  return {
    edges: now.edges
      .map((edge) => edgeIncrease(edges.get(edgeKey(edge)), edge))
      .filter(({ codes }) => Object.keys(codes).length > 0),
    serving: now.serving
      .map((each) => servingIncrease(serving.get(servingKey(each)), each))
      .filter(({ requests, inFlightMs, gaps }) => requests > 0 || inFlightMs > 0 || gaps > 0),
    losses: now.losses.filter((loss) => !losses.has(lossKey(loss))),
  };
}

function lossKey({ service, endpoint, ejectedAt }: EndpointLoss): string {
  return `${service} ${endpoint} ${ejectedAt}`;
}

/** One key for what may be added up. */
export function edgeKey({ source, destination, protocol, version, mtls }: EdgeCounts): string {
  return `${source} ${destination} ${protocol} ${version} ${mtls ?? "-"}`;
}

export function servingKey({ pod, service }: ServingCounts): string {
  return `${pod} ${service}`;
}

function edgeIncrease(before: EdgeCounts | undefined, now: EdgeCounts): EdgeCounts {
  if (before === undefined) return now;
  return {
    ...now,
    codes: moreOf(before.codes, now.codes),
    flags: moreOf(before.flags, now.flags),
    retries: now.retries - before.retries,
    durations: increase(before.durations, now.durations),
    durationSumMs: now.durationSumMs - before.durationSumMs,
  };
}

function servingIncrease(before: ServingCounts | undefined, now: ServingCounts): ServingCounts {
  if (before === undefined) return now;
  return {
    ...now,
    requests: now.requests - before.requests,
    failed: now.failed - before.failed,
    responses: increase(before.responses, now.responses),
    responseSumMs: now.responseSumMs - before.responseSumMs,
    busyMs: now.busyMs - before.busyMs,
    inFlightMs: now.inFlightMs - before.inFlightMs,
    gaps: now.gaps - before.gaps,
    gapSumMs: now.gapSumMs - before.gapSumMs,
    gapSquareSumMs2: now.gapSquareSumMs2 - before.gapSquareSumMs2,
    services: increase(before.services, now.services),
    serviceSumMs: now.serviceSumMs - before.serviceSumMs,
    serviceSquareSumMs2: now.serviceSquareSumMs2 - before.serviceSquareSumMs2,
    found: now.found.map(([requests, sumMs, squareSumMs2], level) => {
      const [n, m, q] = before.found[level] ?? [0, 0, 0];
      return [requests - n, sumMs - m, squareSumMs2 - q] as const;
    }),
  };
}

function moreOf(
  before: Readonly<Record<string, number>>,
  now: Readonly<Record<string, number>>,
): Record<string, number> {
  const more: Record<string, number> = {};
  for (const [key, count] of Object.entries(now)) {
    const difference = count - (before[key] ?? 0);
    if (difference > 0) more[key] = difference;
  }
  return more;
}
