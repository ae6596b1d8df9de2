/**
 * The predicted curve of latency over load, and on it what is measured.
 *
 * Lines are predictions. The filled marks are the live point, p50 and p99; the open ones are what was asked. Knee and
 * saturation stand as verticals with their names.
 */

import { type ReactElement, useMemo, useRef } from "react";
import uPlot from "uplot";
import type { Forecast } from "../../../src/model/forecast.ts";
import { axis, type LineStyle, line } from "../chart/axes.ts";
import { type Palette, Plot } from "../chart/plot.tsx";
import { LegendMark } from "../chart/time-chart.tsx";
import { formatMs, formatNumber, formatRate } from "../format.ts";

const p50: LineStyle = { name: "p50", colour: "part-0" };
const p99: LineStyle = { name: "p99", colour: "part-1", dash: [7, 4] };

/** What is drawn over the curve; read at each drawing, so that the chart itself can stay. */
interface Overlay {
  readonly marks: readonly Mark[];
  readonly verticals: readonly { readonly at: number; readonly name: string }[];
  readonly maxRate: number;
  readonly maxMs: number;
}

interface Mark {
  readonly rate: number;
  readonly ms: number;
  readonly colour: string;
  readonly isFilled: boolean;
}

export function CurveChart({ forecast }: { readonly forecast: Forecast }): ReactElement {
  const { curve } = forecast;
  const data = useMemo(
    (): uPlot.AlignedData => [
      curve.map(({ requestsPerSecond }) => requestsPerSecond),
      curve.map(({ p50Ms }) => p50Ms),
      curve.map(({ p99Ms }) => p99Ms),
    ],
    [curve],
  );
  const overlay = useRef(overlayOf(forecast));
  overlay.current = overlayOf(forecast);
  if (curve.length < 2) return <p className="chart-none">No curve: nothing was fitted.</p>;
  const { live, asked } = forecast;
  return (
    <div className="chart">
      <div className="chart-head">
        <span className="chart-legend">
          <span>
            <LegendMark style={p50} />
            predicted p50
          </span>
          <span>
            <LegendMark style={p99} />
            predicted p99
          </span>
          <span>
            <i className="mark mark-live" aria-hidden="true" />
            measured now{" "}
            {live !== undefined && (
              <b>
                {formatRate(live.requestsPerSecond)}: {formatMs(live.latency.p50Ms)} /{" "}
                {formatMs(live.latency.p99Ms)}
              </b>
            )}
          </span>
          {asked?.latency !== undefined && (
            <span>
              <i className="mark" aria-hidden="true" />
              asked{" "}
              <b>
                {formatRate(asked.requestsPerSecond)}: {formatMs(asked.latency.p50Ms)} /{" "}
                {formatMs(asked.latency.p99Ms)}
              </b>
            </span>
          )}
        </span>
      </div>
      <Plot
        label={sentenceOf(forecast)}
        height={300}
        data={data}
        shape="curve"
        options={(palette) => ({
          legend: { show: false },
          padding: [22, 18, 0, 0],
          cursor: { drag: { x: false, y: false } },
          scales: {
            x: { time: false, range: () => [0, overlay.current.maxRate] },
            y: { range: () => [0, overlay.current.maxMs] },
          },
          axes: [
            axis(palette, formatNumber, {
              space: 60,
              size: 28,
              label: "requests per second",
              labelSize: 20,
            }),
            axis(palette, formatMs, { size: 64, space: 40 }),
          ],
          series: [{}, line(palette, p50), line(palette, p99)],
          hooks: { draw: [(chart) => draw(chart, overlay.current, palette)] },
        })}
      />
    </div>
  );
}

function overlayOf(forecast: Forecast): Overlay {
  const { curve, live, asked, kneeRequestsPerSecond: knee } = forecast;
  const saturation = forecast.saturationRequestsPerSecond;
  const marks: Mark[] = [];
  const add = (rate: number, ms: number, colour: string, isFilled: boolean) =>
    marks.push({ rate, ms, colour, isFilled });
  if (asked?.latency !== undefined) {
    add(asked.requestsPerSecond, asked.latency.p50Ms, p50.colour, false);
    add(asked.requestsPerSecond, asked.latency.p99Ms, p99.colour, false);
  }
  if (live !== undefined) {
    add(live.requestsPerSecond, live.latency.p50Ms, p50.colour, true);
    add(live.requestsPerSecond, live.latency.p99Ms, p99.colour, true);
  }
  const unloaded = curve[0]?.p99Ms ?? 1;
  const most = Math.max(unloaded, ...marks.map(({ ms }) => ms));
  const steepest = Math.max(...curve.map(({ p99Ms }) => p99Ms));
  return {
    marks,
    verticals: [
      ...(knee === undefined ? [] : [{ at: knee, name: "knee" }]),
      ...(saturation === undefined ? [] : [{ at: saturation, name: "saturation" }]),
    ],
    maxRate:
      Math.max(
        saturation ?? 0,
        curve.at(-1)?.requestsPerSecond ?? 1,
        ...marks.map(({ rate }) => rate),
      ) * 1.04,
    // Near saturation the curve goes through the roof: what is below is what one wants to read.
    maxMs: Math.max(most * 1.3, Math.min(steepest * 1.05, unloaded * 5)),
  };
}

function draw(chart: uPlot, { marks, verticals }: Overlay, palette: Palette): void {
  const { ctx } = chart;
  const { left, top, width, height } = chart.bbox;
  const scale = uPlot.pxRatio;
  ctx.save();
  ctx.font = `${11 * scale}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  for (const { at, name } of verticals) {
    const x = chart.valToPos(at, "x", true);
    if (x < left || x > left + width) continue;
    ctx.strokeStyle = palette("text-soft");
    ctx.lineWidth = scale;
    ctx.setLineDash([3 * scale, 3 * scale]);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    ctx.fillStyle = palette("text-soft");
    const half = ctx.measureText(name).width / 2;
    ctx.fillText(name, Math.min(x, left + width - half), top - 6 * scale);
  }
  ctx.setLineDash([]);
  for (const { rate, ms, colour, isFilled } of marks) {
    const x = chart.valToPos(rate, "x", true);
    const y = chart.valToPos(ms, "y", true);
    ctx.beginPath();
    ctx.arc(x, y, (isFilled ? 5 : 6) * scale, 0, 2 * Math.PI);
    ctx.fillStyle = isFilled ? palette(colour) : palette("surface");
    ctx.strokeStyle = isFilled ? palette("surface") : palette(colour);
    ctx.lineWidth = 2 * scale;
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

function sentenceOf({
  live,
  asked,
  kneeRequestsPerSecond,
  saturationRequestsPerSecond,
}: Forecast): string {
  const parts = [
    asked?.latency &&
      `at ${formatRate(asked.requestsPerSecond)} p99 is predicted to be ${formatMs(asked.latency.p99Ms)}`,
    live &&
      `now ${formatRate(live.requestsPerSecond)} with p99 ${formatMs(live.latency.p99Ms)} measured`,
    kneeRequestsPerSecond !== undefined && `knee at ${formatRate(kneeRequestsPerSecond)}`,
    saturationRequestsPerSecond !== undefined &&
      `saturation at ${formatRate(saturationRequestsPerSecond)}`,
  ];
  return `Predicted latency over load: ${parts.filter(Boolean).join("; ")}`;
}
