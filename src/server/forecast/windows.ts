/** One Service's part of the traffic history, in the windows that forecasts are made of. */

import { joined, type ServiceWindow } from "../../core/forecast/window.ts";
import type { TrafficWindow } from "../../core/traffic/history.ts";

/** Undefined where nothing was reported of the Service. */
export function windowFor(service: string, traffic: TrafficWindow): ServiceWindow | undefined {
  const edges = traffic.edges.filter(({ counts }) => counts.destination === service);
  const serving = traffic.serving.filter(({ counts }) => counts.service === service);
  // Nodes report at moments of their own: the time is what the best of them covered.
  const spanMs = Math.max(0, ...[...edges, ...serving].map((measured) => measured.spanMs));
  if (spanMs === 0) return undefined;
  return {
    from: traffic.at - spanMs,
    to: traffic.at,
    edges: edges.map(({ counts }) => counts),
    serving: serving.map(({ counts }) => counts),
  };
}

/** The half minutes that predictions are judged on, numbered since the epoch. */
const spanMs = 30_000;

export interface Spans {
  /** The last that is over and reported. */
  readonly last: number;
  /** By number, those of which every slot is there. */
  windows(service: string, slots: readonly TrafficWindow[]): ReadonlyMap<number, ServiceWindow>;
}

/** A second more than the span: the last report of it is under way for so long at most. */
const reportedAfterMs = 2_000;

export function spansOf(at: number): Spans {
  const last = Math.floor((at - reportedAfterMs) / spanMs) - 1;
  return {
    last,
    windows(service, slots) {
      const bySpan = Map.groupBy(slots, (slot) => Math.floor((slot.at - 1) / spanMs));
      const windows = new Map<number, ServiceWindow>();
      for (const [span, parts] of bySpan) {
        const seconds = parts.reduce((sum, part) => sum + part.seconds, 0);
        if (span > last || seconds * 1000 < spanMs) continue;
        const found = parts.flatMap((part) => windowFor(service, part) ?? []);
        if (found.length !== parts.length) continue;
        const whole = joined(found);
        const coveredMs = found.reduce((sum, { from, to }) => sum + to - from, 0);
        windows.set(span, { ...whole, from: whole.to - coveredMs });
      }
      return windows;
    },
  };
}
