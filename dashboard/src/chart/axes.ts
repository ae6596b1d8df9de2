/** Axes, grids and lines as all charts have them. */

import type uPlot from "uplot";
import type { Palette } from "./plot.tsx";

export interface LineStyle {
  readonly name: string;
  /** A custom property of the style sheet, without its dashes. */
  readonly colour: string;
  readonly dash?: readonly number[];
}

const font = '11px Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

export function axis(
  palette: Palette,
  format: (value: number) => string,
  options: uPlot.Axis = {},
): uPlot.Axis {
  const grid = { stroke: palette("line"), width: 1 };
  return {
    stroke: palette("text-soft"),
    font,
    labelFont: font,
    grid,
    ticks: { ...grid, size: 4 },
    values: (_, splits) => splits.map((value) => (value === null ? "" : format(value))),
    ...options,
  };
}

export function line(palette: Palette, { name, colour, dash }: LineStyle): uPlot.Series {
  return {
    label: name,
    stroke: palette(colour),
    width: 1.6,
    points: { show: false },
    ...(dash && { dash: [...dash] }),
  };
}
