/** The answer in numbers: latency and use at what was asked, what is enough, what a loss would cost. */

import type { ReactElement } from "react";
import type { Forecast } from "../../../src/model/forecast.ts";
import { formatMs, formatNumber, formatRate, formatShare, plural, unknown } from "../format.ts";
import { Icon } from "../ui/icon.tsx";
import { Tile, Tiles } from "../ui/tile.tsx";

export function Answer({ forecast }: { readonly forecast: Forecast }): ReactElement {
  const { asked, withoutOneReplica: without, replicasNeeded, kneeRequestsPerSecond } = forecast;
  const isShort = replicasNeeded !== undefined && asked && replicasNeeded > asked.replicas;
  return (
    <>
      {asked?.unbounded !== undefined && (
        <p className="unbounded" role="status">
          <Icon name="warning" />
          <span>{sentence(asked.unbounded)}</span>
        </p>
      )}
      <Tiles>
        <Tile
          name="Predicted p99"
          value={asked?.latency === undefined ? "unbounded" : formatMs(asked.latency.p99Ms)}
          detail={
            asked?.latency === undefined
              ? `at ${formatRate(asked?.requestsPerSecond)}`
              : `p50 ${formatMs(asked.latency.p50Ms)} at ${formatRate(asked.requestsPerSecond)}`
          }
          tone={asked?.latency === undefined ? "bad" : "plain"}
        />
        <Tile
          name="Utilisation"
          value={formatShare(asked?.utilisation)}
          detail={asked === undefined ? unknown : `of ${plural(asked.replicas, "replica")}`}
          tone={(asked?.utilisation ?? 0) >= 0.8 ? "warn" : "plain"}
        />
        <Tile
          name="Replicas needed"
          value={formatNumber(replicasNeeded)}
          detail="for p99 below twice its unloaded value"
          tone={isShort ? "warn" : "plain"}
        />
        <Tile
          name="With one replica lost"
          value={
            without === undefined
              ? unknown
              : without.latency === undefined
                ? "unbounded"
                : `p99 ${formatMs(without.latency.p99Ms)}`
          }
          detail={without?.unbounded ?? lossOf(forecast)}
          tone={without !== undefined && without.latency === undefined ? "bad" : "plain"}
        />
        <Tile
          name="Knee"
          value={formatRate(kneeRequestsPerSecond)}
          detail={`saturated at ${formatRate(forecast.saturationRequestsPerSecond)}`}
        />
      </Tiles>
    </>
  );
}

function lossOf({ asked, withoutOneReplica }: Forecast): string {
  const before = asked?.latency?.p99Ms;
  const after = withoutOneReplica?.latency?.p99Ms;
  if (before === undefined || after === undefined || before <= 0) return "";
  return `${formatNumber(after / before)} times as long`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}
