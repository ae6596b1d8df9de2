/** Adding up counts of the same thing, whoever took them: pods of one workload, seconds of one edge. */

import { sum } from "../../base/log-histogram.ts";
import type {
  DropCounts,
  EdgeCounts,
  FoundCounts,
  ServingCounts,
} from "../../model/observation.ts";
import { edgeKey, servingKey } from "./increase.ts";

/** One entry for each edge, version and security. */
export function sumEdges(edges: Iterable<EdgeCounts>): EdgeCounts[] {
  return sumBy(edges, edgeKey, totalEdges);
}

export function sumServing(serving: Iterable<ServingCounts>): ServingCounts[] {
  return sumBy(serving, servingKey, totalServing);
}

export function sumDrops(drops: Iterable<DropCounts>): DropCounts[] {
  return sumBy(drops, dropKey, totalDrops);
}

export function dropKey(drop: DropCounts): string {
  const { source, destination, port, protocol, direction, reason } = drop;
  return `${source} ${destination} ${port} ${protocol} ${direction} ${reason}`;
}

/** What all of them counted, under the names of the first. */
export function totalEdges([first, ...others]: Some<EdgeCounts>): EdgeCounts {
  if (others.length === 0) return first;
  const all = [first, ...others];
  return {
    ...first,
    codes: totalRecords(all.map(({ codes }) => codes)),
    flags: totalRecords(all.map(({ flags }) => flags)),
    retries: total(all, ({ retries }) => retries),
    durations: sum(all.map(({ durations }) => durations)),
    durationSumMs: total(all, ({ durationSumMs }) => durationSumMs),
  };
}

export function totalServing([first, ...others]: Some<ServingCounts>): ServingCounts {
  if (others.length === 0) return first;
  const all = [first, ...others];
  return {
    ...first,
    requests: total(all, ({ requests }) => requests),
    failed: total(all, ({ failed }) => failed),
    responses: sum(all.map(({ responses }) => responses)),
    responseSumMs: total(all, ({ responseSumMs }) => responseSumMs),
    busyMs: total(all, ({ busyMs }) => busyMs),
    inFlightMs: total(all, ({ inFlightMs }) => inFlightMs),
    gaps: total(all, ({ gaps }) => gaps),
    gapSumMs: total(all, ({ gapSumMs }) => gapSumMs),
    gapSquareSumMs2: total(all, ({ gapSquareSumMs2 }) => gapSquareSumMs2),
    services: sum(all.map(({ services }) => services)),
    serviceSumMs: total(all, ({ serviceSumMs }) => serviceSumMs),
    serviceSquareSumMs2: total(all, ({ serviceSquareSumMs2 }) => serviceSquareSumMs2),
    found: totalFound(all.map(({ found }) => found)),
  };
}

/** Level by level. */
export function totalFound(lists: readonly (readonly FoundCounts[])[]): readonly FoundCounts[] {
  const levels = Math.max(0, ...lists.map(({ length }) => length));
  return Array.from({ length: levels }, (_, level) => {
    const all = lists.map((list) => list[level] ?? noneFound);
    return [
      total(all, ([requests]) => requests),
      total(all, ([, sumMs]) => sumMs),
      total(all, ([, , squareSumMs2]) => squareSumMs2),
    ];
  });
}

const noneFound: FoundCounts = [0, 0, 0];

export function totalDrops([first, ...others]: Some<DropCounts>): DropCounts {
  return { ...first, packets: total([first, ...others], ({ packets }) => packets) };
}

function totalRecords(
  records: readonly Readonly<Record<string, number>>[],
): Readonly<Record<string, number>> {
  const added: Record<string, number> = {};
  for (const record of records) {
    for (const [key, count] of Object.entries(record)) added[key] = (added[key] ?? 0) + count;
  }
  return added;
}

function total<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((so, item) => so + value(item), 0);
}

type Some<T> = readonly [T, ...T[]];

function sumBy<T>(
  items: Iterable<T>,
  keyOf: (item: T) => string,
  totalOf: (items: Some<T>) => T,
): T[] {
  const groups = new Map<string, [T, ...T[]]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return [...groups.values()].map(totalOf);
}
