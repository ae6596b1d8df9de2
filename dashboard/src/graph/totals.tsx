/** The whole mesh in five numbers. */

import type { ReactElement } from "react";
import type { GraphEdge, TrafficGraph } from "../../../src/model/observation.ts";
import { formatMs, formatRate, formatShare, plural } from "../format.ts";
import { bySeverity } from "../ui/health.tsx";
import { Tile, Tiles } from "../ui/tile.tsx";

export function Totals({ graph }: { readonly graph: TrafficGraph }): ReactElement {
  const requests = graph.edges.filter(({ protocol }) => protocol !== "tcp");
  const rate = sum(requests, ({ signals }) => signals.requestsPerSecond);
  const good = sum(
    requests,
    ({ signals }) => signals.requestsPerSecond * (signals.successShare ?? 1),
  );
  const success = rate > 0 ? good / rate : undefined;
  const slowest = requests
    .filter(({ signals }) => signals.p99Ms !== undefined)
    .toSorted((a, b) => (b.signals.p99Ms ?? 0) - (a.signals.p99Ms ?? 0))[0];
  const known = graph.edges.filter(({ mtls, health }) => mtls !== undefined && health !== "idle");
  const secured = known.filter(({ mtls }) => mtls).length;
  const drops = sum(graph.edges, ({ dropsPerSecond }) => dropsPerSecond);
  const ailing = graph.edges
    .filter(({ health }) => health === "failing" || health === "degraded")
    .toSorted((a, b) => bySeverity(a.health, b.health));
  return (
    <Tiles>
      <Tile name="Requests" value={formatRate(rate)} detail={`over the last ${graph.seconds} s`} />
      <Tile
        name="Success"
        value={formatShare(success)}
        detail={ailing.length === 0 ? "nothing ails" : `${plural(ailing.length, "edge")} ailing`}
        tone={
          success === undefined
            ? "plain"
            : success >= 0.999
              ? "good"
              : success >= 0.95
                ? "warn"
                : "bad"
        }
      />
      <Tile
        name="Slowest p99"
        value={formatMs(slowest?.signals.p99Ms)}
        detail={slowest === undefined ? "no requests" : shortEnds(slowest)}
      />
      <Tile
        name="mTLS"
        value={known.length === 0 ? formatShare(undefined) : formatShare(secured / known.length)}
        detail={`${secured} of ${plural(known.length, "edge")}`}
        tone={known.length > 0 && secured < known.length ? "warn" : "plain"}
      />
      <Tile
        name="Refused by policy"
        value={formatRate(drops, "packets/s")}
        detail={drops > 0 ? "NetworkPolicy" : "none"}
        tone={drops > 0 ? "warn" : "plain"}
      />
    </Tiles>
  );
}

function shortEnds({ source, destination }: GraphEdge): string {
  const short = (id: string) => id.split("/").at(-1) ?? id;
  return `${short(source)} → ${short(destination)}`;
}

function sum<T>(list: readonly T[], of: (one: T) => number): number {
  return list.reduce((total, one) => total + of(one), 0);
}
