/**
 * The table of edges that stands on the terminal while a lab is up: read, rendered and drawn again each second.
 *
 * Rates are over a sliding window of a few seconds, so that numbers are steady and still follow a change of routes
 * while one looks. On a terminal the table is redrawn in place; elsewhere (a pipe, a log) it is printed now and then.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { LabPaths } from "../names.ts";
import { Counters, edgesOf } from "./edges.ts";
import type { Sample } from "./prometheus-text.ts";
import { scrapeSidecars } from "./scrape.ts";
import { renderEdges } from "./table.ts";

export interface Screen {
  readonly isTty: boolean;
  readonly columns: () => number;
  write(text: string): void;
}

const intervalMs = 1_000;
const windowMs = 5_000;
const plainEveryMs = 10_000;

interface Slice {
  readonly endedAt: number;
  readonly startedAt: number;
  readonly moved: readonly Sample[];
}

/** Shows the table until aborted. */
export async function showTraffic(
  paths: LabPaths,
  hosts: number,
  footer: string,
  screen: Screen,
  signal: AbortSignal,
): Promise<void> {
  const counters = new Counters();
  let slices: Slice[] = [];
  let lastAt = performance.now();
  let drawn = 0;
  let plainAt = 0;
  await read(); // what happened before anybody looked is no rate
  while (!signal.aborted) {
    await delay(intervalMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const startedAt = lastAt;
    const moved = await read();
    if (signal.aborted) return;
    slices = [...slices, { startedAt, endedAt: lastAt, moved }].filter(
      (slice) => slice.endedAt > lastAt - windowMs,
    );
    const seconds = (lastAt - (slices[0]?.startedAt ?? startedAt)) / 1000;
    const lines = renderEdges(edgesOf(slices.flatMap((slice) => slice.moved)), seconds);
    if (screen.isTty) {
      const all = ["", ...lines, "", footer].map((line) => line.slice(0, screen.columns() - 1));
      // Up over what was drawn last, then everything below is cleared: the terminal's scrollback stays as it was.
      screen.write(`${drawn > 0 ? `\x1b[${drawn}A` : ""}\x1b[J${all.join("\n")}\n`);
      drawn = all.length;
    } else if (lastAt - plainAt >= plainEveryMs) {
      plainAt = lastAt;
      screen.write(`\n${lines.join("\n")}\n`);
    }
  }

  async function read(): Promise<Sample[]> {
    const readings = await scrapeSidecars(paths, hosts);
    lastAt = performance.now();
    return readings.flatMap(({ sidecar, samples }) => counters.advance(sidecar, samples));
  }
}
