/** Quantities over time, with a legend whose numbers follow the cursor. Charts with one `group` share the cursor. */

import { type ReactElement, useMemo, useRef, useState } from "react";
import type uPlot from "uplot";
import { formatTime, unknown } from "../format.ts";
import { axis, type LineStyle, line } from "./axes.ts";
import { Plot } from "./plot.tsx";

export interface TimeLine<T> extends LineStyle {
  readonly value: (point: T) => number | undefined;
}

export function TimeChart<T extends { readonly at: number }>({
  title,
  points,
  lines,
  format,
  group,
  from,
  to,
  range,
}: {
  readonly title: string;
  readonly points: readonly T[];
  readonly lines: readonly TimeLine<T>[];
  readonly format: (value: number | undefined) => string;
  readonly group: string;
  /** The span that is shown, whether there are points in all of it or not. */
  readonly from: number;
  readonly to: number;
  /** Of the vertical axis, by what there is to show; without, from 0 up. */
  readonly range?: (least: number, most: number) => readonly [number, number];
}): ReactElement {
  const [cursor, setCursor] = useState<number | undefined>();
  const data = useMemo(
    (): uPlot.AlignedData => [
      points.map(({ at }) => at / 1000),
      ...lines.map(({ value }) => points.map((point) => value(point) ?? null)),
    ],
    [points, lines],
  );
  const shown = points[cursor ?? points.length - 1];
  // The chart outlives its data: it asks for the span that is the latest.
  const span = useRef<[number, number]>([0, 0]);
  span.current = [from / 1000, to / 1000];
  const last = points.at(-1);
  const sentence = `${title}: ${lines
    .map(({ name, value }) => `${name} ${format(last && value(last))}`)
    .join(", ")}`;

  return (
    <div className="chart">
      <div className="chart-head">
        <h3 className="chart-title">{title}</h3>
        <span className="chart-legend">
          {cursor !== undefined && shown !== undefined && <span>{formatTime(shown.at)}</span>}
          {lines.map((style) => (
            <span key={style.name}>
              <LegendMark style={style} />
              {style.name} <b>{shown === undefined ? unknown : format(style.value(shown))}</b>
            </span>
          ))}
        </span>
      </div>
      {points.length === 0 ? (
        <p className="chart-none">Nothing in this span</p>
      ) : (
        <Plot
          label={sentence}
          height={150}
          data={data}
          shape={`${group} ${lines.map(({ name }) => name).join()}`}
          options={(palette) => ({
            legend: { show: false },
            padding: [10, 26, 0, 0],
            cursor: { sync: { key: group }, y: false, drag: { x: false, y: false } },
            scales: {
              x: { range: () => span.current },
              y: {
                range: (_, least, most) => {
                  const wanted = range?.(least ?? 0, most ?? 0) ?? [0, (most ?? 0) * 1.15 || 1];
                  return [wanted[0], wanted[1]];
                },
              },
            },
            axes: [
              axis(palette, (seconds) => clockOf(seconds, span.current), { space: 76, size: 30 }),
              axis(palette, format, { size: 62, space: 34 }),
            ],
            series: [{}, ...lines.map((style) => line(palette, style))],
            hooks: {
              setCursor: [(chart) => setCursor(chart.cursor.idx ?? undefined)],
            },
          })}
        />
      )}
    </div>
  );
}

const shortSpanSeconds = 240; // ticks are less than a minute apart

function clockOf(seconds: number, [from, to]: readonly [number, number]): string {
  const time = formatTime(seconds * 1000);
  return to - from < shortSpanSeconds ? time : time.slice(0, 5);
}

export function LegendMark({ style }: { readonly style: LineStyle }): ReactElement {
  return (
    <svg viewBox="0 0 18 8" aria-hidden="true">
      <line
        x1="0"
        y1="4"
        x2="18"
        y2="4"
        stroke={`var(--${style.colour})`}
        strokeWidth="2"
        {...(style.dash && { strokeDasharray: style.dash.join(" ") })}
      />
    </svg>
  );
}
