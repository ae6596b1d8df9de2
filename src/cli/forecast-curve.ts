/** The predicted curve in characters: p50 `·` and p99 `•` over load, `○` and `●` where it is now. */

import type { Forecast } from "../model/forecast.ts";
import { ms, rate } from "./quantities.ts";

const columns = 60;
const rows = 9;
/** Higher than so many times the unloaded p99 the curve leaves the picture: what matters is where it turns. */
const tallest = 6;

/** Nothing where there is no curve. */
export function drawCurve({ curve, live }: Forecast): string[] {
  const [first] = curve;
  const last = curve.at(-1);
  if (first === undefined || last === undefined || curve.length < 2) return [];
  const mostLoad = Math.max(last.requestsPerSecond, live?.requestsPerSecond ?? 0);
  const mostMs = Math.max(
    Math.min(last.p99Ms, tallest * first.p99Ms),
    1.1 * (live?.latency.p99Ms ?? 0),
  );
  const picture = Array.from({ length: rows }, () => new Array<string>(columns).fill(" "));
  const put = (load: number, latencyMs: number, mark: string): void => {
    const x = Math.min(columns - 1, Math.floor((load / mostLoad) * columns));
    const y = Math.floor((latencyMs / mostMs) * rows);
    const line = picture[rows - 1 - y];
    if (y < rows && line !== undefined) line[x] = mark;
  };
  for (const { requestsPerSecond, p50Ms, p99Ms } of curve) {
    put(requestsPerSecond, p50Ms, "·");
    put(requestsPerSecond, p99Ms, "•");
  }
  if (live !== undefined) {
    put(live.requestsPerSecond, live.latency.p50Ms, "○");
    put(live.requestsPerSecond, live.latency.p99Ms, "●");
  }
  const labels = picture.map((_, i) => (i === 0 ? ms(mostMs) : i === rows - 1 ? "0" : ""));
  const width = Math.max(...labels.map(({ length }) => length));
  const end = rate(mostLoad);
  return [
    "",
    ...picture.map((line, i) => `${(labels[i] ?? "").padStart(width)} │${line.join("")}`.trimEnd()),
    `${" ".repeat(width)} └${"─".repeat(columns)}`,
    `${" ".repeat(width + 2)}0${end.padStart(columns - 1)}`,
    `${" ".repeat(width + 2)}• p99  · p50   now: ● p99  ○ p50`,
  ];
}
