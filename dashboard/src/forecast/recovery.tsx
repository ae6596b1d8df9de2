/** The loss of an endpoint: what it is predicted to cost, and beside it the losses that happened. */

import type { ReactElement } from "react";
import type { Forecast, RecoveryForecast, RecoveryJudged } from "../../../src/model/forecast.ts";
import { formatMs, formatNumber, formatShare, formatTime } from "../format.ts";
import { Icon } from "../ui/icon.tsx";
import { Section } from "../ui/section.tsx";
import { type Column, Table } from "../ui/table.tsx";

export function Recovery({ forecast }: { readonly forecast: Forecast }): ReactElement {
  const { recovery, recoveries } = forecast;
  return (
    <Section title="If an endpoint dies" {...(recovery && { note: recovery.basis })}>
      {recovery === undefined ? (
        <p className="none-yet">
          Nothing is predicted: no outlier detection or retries are in force.
        </p>
      ) : (
        <dl className="recovery">
          <Predicted
            name="Recovered after"
            value={formatMs(recovery.detectMs)}
            interval={recovery.detectIntervalMs.map((ms) => formatMs(ms))}
            certainty={recovery.certainty}
          />
          <Predicted
            name="Requests lost"
            value={formatNumber(recovery.lostRequests)}
            interval={recovery.lostInterval.map((lost) => formatNumber(lost))}
            certainty={recovery.certainty}
          />
        </dl>
      )}
      {recoveries.length === 0 ? (
        <p className="none-yet dim">No endpoint has been lost yet, so nothing was measured.</p>
      ) : (
        <Table
          label="Losses that happened"
          columns={columns}
          rows={recoveries.toReversed()}
          keyOf={({ at, endpoint }) => `${at} ${endpoint}`}
        />
      )}
    </Section>
  );
}

const columns: readonly Column<RecoveryJudged>[] = [
  { name: "At", cell: ({ at }) => formatTime(at) },
  { name: "Endpoint", cell: ({ endpoint }) => endpoint },
  {
    name: "Recovered: predicted",
    isNumber: true,
    cell: ({ predicted }) => between(predicted.detectIntervalMs, formatMs),
  },
  {
    name: "measured",
    isNumber: true,
    cell: ({ predicted, measured }) => (
      <Measured
        text={formatMs(measured.recoverMs)}
        isWithin={isWithin(measured.recoverMs, predicted.detectIntervalMs)}
      />
    ),
  },
  {
    name: "Lost: predicted",
    isNumber: true,
    cell: ({ predicted }) => between(predicted.lostInterval, formatNumber),
  },
  {
    name: "measured ",
    isNumber: true,
    cell: ({ predicted, measured }) => (
      <Measured
        text={formatNumber(measured.lostRequests)}
        isWithin={isWithin(measured.lostRequests, predicted.lostInterval)}
      />
    ),
  },
];

function Predicted({
  name,
  value,
  interval,
  certainty,
}: {
  readonly name: string;
  readonly value: string;
  readonly interval: readonly string[];
  readonly certainty: RecoveryForecast["certainty"];
}): ReactElement {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <b>{value}</b>
        <span className="dim">
          {interval.join(" to ")} in {formatShare(certainty)} of cases
        </span>
      </dd>
    </div>
  );
}

function Measured({
  text,
  isWithin,
}: {
  readonly text: string;
  readonly isWithin: boolean;
}): ReactElement {
  return (
    <span className={isWithin ? "within" : "beyond"}>
      <Icon
        name={isWithin ? "check" : "warning"}
        label={isWithin ? "within the interval" : "outside the interval"}
      />{" "}
      {text}
    </span>
  );
}

function between(
  [low, high]: readonly [number, number],
  format: (value: number) => string,
): string {
  return `${format(low)} – ${format(high)}`;
}

function isWithin(value: number, [low, high]: readonly [number, number]): boolean {
  return value >= low && value <= high;
}
