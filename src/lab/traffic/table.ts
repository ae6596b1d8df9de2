/**
 * The lab's table of edges as text: pure, so that a test can read what a person will.
 *
 * Columns are as wide as their widest cell; numbers are right-aligned. Drawing it in place on a terminal is
 * `screen.ts`'s business.
 */

import type { Edge } from "./edges.ts";

const titles = ["SOURCE", "DESTINATION", "RATE", "SUCCESS", "P50", "P99", "VERSIONS", "MTLS"];
const rightAligned = new Set([2, 3, 4, 5]);

/** The lines of the table; with `seconds` as rates over that time, without as counts. */
export function renderEdges(edges: readonly Edge[], seconds: number | undefined): string[] {
  if (edges.length === 0) return ["no requests yet"];
  const header = titles.map((title) => (title === "RATE" && !seconds ? "COUNT" : title));
  return renderColumns([header, ...edges.map((edge) => row(edge, seconds))], rightAligned);
}

/** Rows as lines, each column as wide as its widest cell. */
export function renderColumns(
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number> = new Set(),
): string[] {
  const widths: number[] = [];
  for (const cells of rows) {
    cells.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return rows.map((cells) =>
    cells
      .map((cell, i) =>
        right.has(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
}

function row(edge: Edge, seconds: number | undefined): string[] {
  const unit = edge.protocol === "tcp" ? "conn" : "req";
  return [
    edge.source,
    edge.destination,
    seconds === undefined
      ? `${edge.requests} ${unit}`
      : `${(edge.requests / seconds).toFixed(1)} ${unit}/s`,
    edge.successShare === undefined || edge.protocol === "tcp" ? "-" : percent(edge.successShare),
    milliseconds(edge.p50Ms),
    milliseconds(edge.p99Ms),
    versions(edge.versions),
    edge.mtls === undefined ? "-" : edge.mtls ? "yes" : "no",
  ];
}

/** `v1 90% v2 10%`, in the versions' own order, so that a split does not jump about. */
function versions(counts: Readonly<Record<string, number>>): string {
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
  const named = Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
  const only = named[0]?.[0];
  if (only === undefined) return "-";
  if (named.length === 1) return only;
  return named.map(([version, n]) => `${version} ${Math.round((100 * n) / total)}%`).join(" ");
}

function percent(share: number): string {
  // 99.96 % must not read as 100: what failed, failed.
  const tenths = Math.floor(share * 1000) / 10;
  return `${tenths.toFixed(1)}%`;
}

function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return "-";
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}
