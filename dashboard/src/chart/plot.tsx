/**
 * A chart of uPlot's, kept as wide as its place and in the colours of the theme.
 *
 * A canvas says nothing to who cannot see it: every chart has a sentence that does.
 */

import { type ReactElement, useEffect, useMemo, useRef } from "react";
import uPlot from "uplot";
import { useIsDark } from "../theme.ts";
import "uplot/dist/uPlot.min.css";
import "./chart.css";

/** Colours as the style sheet has them at the moment. */
export type Palette = (name: string) => string;

export type PlotOptions = Omit<uPlot.Options, "width" | "height">;

export function Plot({
  label,
  height,
  data,
  shape,
  options,
}: {
  /** In a sentence, what it shows. */
  readonly label: string;
  readonly height: number;
  readonly data: uPlot.AlignedData;
  /** While it is the same, new data go into the same chart. */
  readonly shape: string;
  readonly options: (palette: Palette) => PlotOptions;
}): ReactElement {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const isDark = useIsDark();
  const latest = useRef({ data, options });
  latest.current = { data, options };
  const key = useMemo(() => `${isDark} ${height} ${shape}`, [isDark, height, shape]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for all that needs another chart
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const style = getComputedStyle(element);
    const palette: Palette = (name) => style.getPropertyValue(`--${name}`).trim();
    const width = Math.max(120, element.clientWidth);
    const made = new uPlot(
      { ...latest.current.options(palette), width, height },
      latest.current.data,
      element,
    );
    chart.current = made;
    const resized = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      chart.current = undefined;
    };
  }, [key]);

  useEffect(() => {
    chart.current?.setData(data);
  }, [data]);

  return <div className="plot" role="img" aria-label={label} ref={place} />;
}
