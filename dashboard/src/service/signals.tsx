/** Requests, success and latency over time, under one cursor. */

import type { ReactElement } from "react";
import type { ServiceView, SignalPoint } from "../../../src/model/observation.ts";
import { TimeChart, type TimeLine } from "../chart/time-chart.tsx";
import { formatMs, formatNumber, formatShare } from "../format.ts";

const rates: readonly TimeLine<SignalPoint>[] = [
  { name: "all", colour: "part-0", value: ({ requestsPerSecond }) => requestsPerSecond },
  { name: "4xx", colour: "warn", dash: [6, 3], value: (point) => rateOf(point, isClientError) },
  { name: "5xx or none", colour: "bad", dash: [2, 3], value: (point) => rateOf(point, isFailure) },
];

const success: readonly TimeLine<SignalPoint>[] = [
  { name: "success", colour: "good", value: ({ successShare }) => successShare },
];

const latencies: readonly TimeLine<SignalPoint>[] = [
  { name: "p50", colour: "part-0", value: ({ p50Ms }) => p50Ms },
  { name: "p90", colour: "part-2", dash: [6, 3], value: ({ p90Ms }) => p90Ms },
  { name: "p99", colour: "part-1", dash: [2, 3], value: ({ p99Ms }) => p99Ms },
];

export function Signals({
  view,
  seconds,
}: {
  readonly view: ServiceView;
  readonly seconds: number;
}): ReactElement {
  const { history, at } = view;
  const shared = { points: history, group: "service", from: at - seconds * 1000, to: at };
  return (
    <div className="charts">
      <TimeChart title="Requests per second" lines={rates} format={formatNumber} {...shared} />
      <TimeChart
        title="Success"
        lines={success}
        format={formatShare}
        range={(least) => [Math.max(0, Math.min(0.9, Math.floor(least * 10 - 0.5) / 10)), 1.005]}
        {...shared}
      />
      <TimeChart title="Latency" lines={latencies} format={formatMs} {...shared} />
    </div>
  );
}

function rateOf({ codesPerSecond }: SignalPoint, is: (code: number) => boolean): number {
  return Object.entries(codesPerSecond).reduce(
    (sum, [code, rate]) => sum + (is(Number(code)) ? rate : 0),
    0,
  );
}

function isClientError(code: number): boolean {
  return code >= 400 && code < 500;
}

/** Code 0: no answer came. */
function isFailure(code: number): boolean {
  return code >= 500 || code === 0;
}
