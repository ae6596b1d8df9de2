/** How right the predictions were: each was made from one window and is held against the next. */

import type { ReactElement } from "react";
import type { Forecast, Judged } from "../../../src/model/forecast.ts";
import { TimeChart, type TimeLine } from "../chart/time-chart.tsx";
import { formatMs, formatShare, plural } from "../format.ts";
import { Section } from "../ui/section.tsx";

const lines: readonly TimeLine<Judged>[] = [
  { name: "measured p99", colour: "part-1", value: ({ measured }) => measured.p99Ms },
  { name: "predicted", colour: "part-1", dash: [3, 4], value: ({ predicted }) => predicted.p99Ms },
];
const medians: readonly TimeLine<Judged>[] = [
  { name: "measured p50", colour: "part-0", value: ({ measured }) => measured.p50Ms },
  { name: "predicted", colour: "part-0", dash: [3, 4], value: ({ predicted }) => predicted.p50Ms },
];

export function Judgement({ forecast }: { readonly forecast: Forecast }): ReactElement {
  const { judged, errors } = forecast;
  const first = judged[0];
  const last = judged.at(-1);
  return (
    <Section
      title="Prediction’s error so far"
      {...(judged.length > 0 && { note: `over ${plural(judged.length, "window")}` })}
    >
      {first === undefined || last === undefined || errors === undefined ? (
        <p className="none-yet">
          No prediction has been judged yet: each is held against the window after it.
        </p>
      ) : (
        <>
          <dl className="errors">
            <div>
              <dt>p50</dt>
              <dd>{formatShare(errors.p50Share)}</dd>
            </div>
            <div>
              <dt>p99</dt>
              <dd>{formatShare(errors.p99Share)}</dd>
            </div>
          </dl>
          <p className="errors-note">mean of |predicted − measured| / measured</p>
          {[medians, lines].map((pair) => (
            <TimeChart
              key={pair[0]?.name}
              title={pair === lines ? "p99" : "p50"}
              points={judged}
              lines={pair}
              format={formatMs}
              group="judged"
              from={first.at - 1_000}
              to={Math.max(last.at, first.at + 10_000)}
            />
          ))}
        </>
      )}
    </Section>
  );
}
