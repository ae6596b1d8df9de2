/**
 * The last hour of every node's reports: seconds for the last two minutes, ten seconds at a time for the hour.
 *
 * A report belongs to the slot in which it arrived, with the time that it covers beside it: rates divide by covered
 * time, so a report that comes late or never distorts nothing.
 *
 * Memory is bounded: a slot of a node holds so many series of each kind, and all slots together so many entries; what
 * is more is added to one series called `overflow`. An entry is 1.3 kB where thirty buckets of latency are occupied, so
 * the default limit is 130 MB. A series that never rests has 480 entries in an hour: the limit is reached by some 200
 * of them, and the shop's fifteen take 9 MB.
 */

import { type PackedHistogram, packed, sumPacked, unpacked } from "../../base/log-histogram.ts";
import type {
  DropCounts,
  EdgeCounts,
  FoundCounts,
  NodeReport,
  ServingCounts,
} from "../../model/observation.ts";
import { edgeKey, servingKey } from "./increase.ts";
import type { Measured } from "./signals.ts";
import { dropKey, sumDrops, totalDrops, totalEdges, totalServing } from "./sum.ts";

export interface HistoryLimits {
  /** Series of each kind in one slot of one node. */
  readonly seriesPerSlot: number;
  /** In all slots of all nodes. */
  readonly entries: number;
  readonly nodes: number;
}

export const defaultHistoryLimits: HistoryLimits = {
  seriesPerSlot: 500,
  entries: 100_000,
  nodes: 1_000,
};

/** What all nodes reported in some time, apart by node. */
export interface TrafficWindow {
  /** End of the time. */
  readonly at: number;
  readonly seconds: number;
  readonly edges: readonly Measured<EdgeCounts>[];
  readonly serving: readonly Measured<ServingCounts>[];
  readonly drops: readonly Measured<DropCounts>[];
}

const resolutions = [
  { widthMs: 1_000, count: 120 },
  { widthMs: 10_000, count: 360 },
] as const;

export class TrafficHistory {
  readonly #limits: HistoryLimits;
  readonly #nodes = new Map<string, NodeHistory>();
  #entries = 0;

  constructor(limits: HistoryLimits = defaultHistoryLimits) {
    this.#limits = limits;
  }

  /** Takes a report that arrived `at`; false: there are too many nodes. */
  add(report: NodeReport, at: number): boolean {
    let node = this.#nodes.get(report.node);
    if (node === undefined) {
      if (this.#nodes.size >= this.#limits.nodes) this.#forgetOldest(at);
      if (this.#nodes.size >= this.#limits.nodes) return false;
      node = { reportedAt: at, sidecars: [], rings: resolutions.map(() => new Map()) };
      this.#nodes.set(report.node, node);
    }
    node.reportedAt = at;
    node.sidecars = report.sidecars;
    for (const [i, { widthMs, count }] of resolutions.entries()) {
      const ring = node.rings[i];
      if (ring === undefined) continue;
      const index = Math.floor(at / widthMs);
      for (const [old, slot] of ring) {
        if (old > index - count) break; // in order of age
        ring.delete(old);
        this.#entries -= slot.entries;
      }
      let slot = ring.get(index);
      if (slot === undefined) {
        slot = new Slot();
        ring.set(index, slot);
      }
      const room = this.#limits.entries - this.#entries;
      this.#entries += slot.add(report, Math.min(room, this.#limits.seriesPerSlot));
    }
    return true;
  }

  get entries(): number {
    return this.#entries;
  }

  reportedAt(node: string): number | undefined {
    return this.#nodes.get(node)?.reportedAt;
  }

  /** Pods whose sidecars answered the node's agent last. */
  sidecars(node: string): readonly string[] {
    return this.#nodes.get(node)?.sidecars ?? [];
  }

  /** What happened in the last `seconds` (1 … 3600) before `at`. */
  window(seconds: number, at: number): TrafficWindow {
    const { ring, widthMs } = resolutionFor(seconds);
    const from = Math.floor(at / widthMs) - Math.max(1, Math.round((seconds * 1000) / widthMs));
    const edges: Measured<EdgeCounts>[] = [];
    const serving: Measured<ServingCounts>[] = [];
    const drops: Measured<DropCounts>[] = [];
    for (const node of this.#nodes.values()) {
      const slots = [...(node.rings[ring] ?? [])]
        .filter(([index]) => index > from)
        .map(([, slot]) => slot);
      const spanMs = slots.reduce((total, slot) => total + slot.coveredMs, 0);
      const over = <T>(counts: T): Measured<T> => ({ counts, spanMs });
      for (const group of groupsOf(slots.map((slot) => slot.edges))) {
        edges.push(over(sumOfEdges(group)));
      }
      for (const group of groupsOf(slots.map((slot) => slot.serving))) {
        serving.push(over(sumOfServing(group)));
      }
      drops.push(...sumDrops(slots.flatMap((slot) => [...slot.drops.values()])).map(over));
    }
    return { at, seconds, edges, serving, drops };
  }

  /** The same time slot by slot, oldest first; slots in which nobody reported anything are absent. */
  slots(seconds: number, at: number): TrafficWindow[] {
    const { ring, widthMs } = resolutionFor(seconds);
    const from = Math.floor(at / widthMs) - Math.round((seconds * 1000) / widthMs);
    const windows = new Map<number, Mutable>();
    for (const node of this.#nodes.values()) {
      for (const [index, slot] of node.rings[ring] ?? []) {
        if (index <= from) continue;
        let window = windows.get(index);
        if (window === undefined) {
          window = { edges: [], serving: [], drops: [] };
          windows.set(index, window);
        }
        const over = <T>(counts: T): Measured<T> => ({ counts, spanMs: slot.coveredMs });
        window.edges.push(...slot.edgeCounts().map(over));
        window.serving.push(...slot.servingCounts().map(over));
        window.drops.push(...[...slot.drops.values()].map(over));
      }
    }
    return [...windows]
      .sort(([a], [b]) => a - b)
      .map(([index, window]) => ({
        at: Math.min(at, (index + 1) * widthMs),
        seconds: widthMs / 1000,
        ...window,
      }));
  }

  /** Nodes that said nothing for longer than anything is kept. */
  #forgetOldest(at: number): void {
    const keptMs = resolutions[1].widthMs * resolutions[1].count;
    for (const [name, node] of this.#nodes) {
      if (at - node.reportedAt < keptMs) continue;
      this.#nodes.delete(name);
      for (const ring of node.rings) {
        for (const slot of ring.values()) this.#entries -= slot.entries;
      }
    }
  }
}

interface NodeHistory {
  reportedAt: number;
  sidecars: readonly string[];
  /** By resolution: slots by number, in order of age. */
  readonly rings: readonly Map<number, Slot>[];
}

interface Mutable {
  readonly edges: Measured<EdgeCounts>[];
  readonly serving: Measured<ServingCounts>[];
  readonly drops: Measured<DropCounts>[];
}

interface PackedEdge extends Omit<EdgeCounts, "durations"> {
  readonly durations: PackedHistogram;
}

interface PackedServing extends Omit<ServingCounts, "responses" | "services" | "found"> {
  readonly responses: PackedHistogram;
  readonly services: PackedHistogram;
  /** Three numbers for each level. */
  readonly found: readonly number[];
}

class Slot {
  coveredMs = 0;
  readonly edges = new Map<string, PackedEdge>();
  readonly serving = new Map<string, PackedServing>();
  readonly drops = new Map<string, DropCounts>();

  get entries(): number {
    return this.edges.size + this.serving.size + this.drops.size;
  }

  /** Adds a report; of each kind at most `room` series. Answers how many entries came to be. */
  add(report: NodeReport, room: number): number {
    const before = this.entries;
    this.coveredMs += report.to - report.from;
    for (const edge of report.edges) this.#addEdge(edge, room);
    for (const each of report.serving) this.#addServing(each, room);
    for (const drop of report.drops) this.#addDrop(drop, room);
    return this.entries - before;
  }

  edgeCounts(): EdgeCounts[] {
    return [...this.edges.values()].map(unpackEdge);
  }

  servingCounts(): ServingCounts[] {
    return [...this.serving.values()].map(unpackServing);
  }

  #addEdge(edge: EdgeCounts, room: number): void {
    let named = edge;
    if (!this.edges.has(edgeKey(edge)) && this.edges.size >= room) {
      const { mtls: _, ...rest } = edge;
      named = { ...rest, source: overflow, destination: overflow, version: "-" };
    }
    const key = edgeKey(named);
    const known = this.edges.get(key);
    this.edges.set(
      key,
      packEdge(known === undefined ? named : totalEdges([unpackEdge(known), named])),
    );
  }

  #addServing(each: ServingCounts, room: number): void {
    const isFull = !this.serving.has(servingKey(each)) && this.serving.size >= room;
    const named = isFull ? { ...each, pod: overflow, service: overflow } : each;
    const key = servingKey(named);
    const known = this.serving.get(key);
    this.serving.set(
      key,
      packServing(known === undefined ? named : totalServing([unpackServing(known), named])),
    );
  }

  #addDrop(drop: DropCounts, room: number): void {
    const isFull = !this.drops.has(dropKey(drop)) && this.drops.size >= room;
    const named = isFull
      ? { ...drop, source: overflow, destination: overflow, port: 0, reason: "", policies: [] }
      : drop;
    const key = dropKey(named);
    const known = this.drops.get(key);
    this.drops.set(key, known === undefined ? named : totalDrops([known, named]));
  }
}

const overflow = "overflow";

type Some<T> = readonly [T, ...T[]];

/** What several slots have of each series. */
function groupsOf<T>(slots: readonly ReadonlyMap<string, T>[]): Iterable<Some<T>> {
  const groups = new Map<string, [T, ...T[]]>();
  for (const slot of slots) {
    for (const [key, entry] of slot) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [entry]);
      else group.push(entry);
    }
  }
  return groups.values();
}

// Histograms are added as they are kept: to unpack each of them would be most of the work of a graph.

function sumOfEdges(group: Some<PackedEdge>): EdgeCounts {
  const plain = ({ durations: _, ...rest }: PackedEdge): EdgeCounts => ({ ...rest, durations: [] });
  const [first, ...others] = group;
  return {
    ...totalEdges([plain(first), ...others.map(plain)]),
    durations: sumPacked(group.map(({ durations }) => durations)),
  };
}

function sumOfServing(group: Some<PackedServing>): ServingCounts {
  const plain = (each: PackedServing): ServingCounts => ({
    ...each,
    responses: [],
    services: [],
    found: foundOf(each),
  });
  const [first, ...others] = group;
  return {
    ...totalServing([plain(first), ...others.map(plain)]),
    responses: sumPacked(group.map(({ responses }) => responses)),
    services: sumPacked(group.map(({ services }) => services)),
  };
}

function foundOf({ found }: PackedServing): readonly FoundCounts[] {
  return Array.from({ length: found.length / 3 }, (_, level): FoundCounts => {
    const at = 3 * level;
    return [found[at] ?? 0, found[at + 1] ?? 0, found[at + 2] ?? 0];
  });
}

function resolutionFor(seconds: number): { readonly ring: number; readonly widthMs: number } {
  const [fine, coarse] = resolutions;
  return seconds * 1000 <= fine.widthMs * fine.count
    ? { ring: 0, widthMs: fine.widthMs }
    : { ring: 1, widthMs: coarse.widthMs };
}

function packEdge(edge: EdgeCounts): PackedEdge {
  return { ...edge, durations: packed(edge.durations) };
}

function unpackEdge(edge: PackedEdge): EdgeCounts {
  return { ...edge, durations: unpacked(edge.durations) };
}

function packServing(each: ServingCounts): PackedServing {
  return {
    ...each,
    responses: packed(each.responses),
    services: packed(each.services),
    found: each.found.flat(),
  };
}

function unpackServing(each: PackedServing): ServingCounts {
  return {
    ...each,
    responses: unpacked(each.responses),
    services: unpacked(each.services),
    found: foundOf(each),
  };
}
