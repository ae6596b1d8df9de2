/** Findings about the table of tracked connections: full, or full soon. */

import type { ConnectionForecast, ConnectionTable, Finding } from "../../model/network-check.ts";

const fullShare = 0.9;
/** Growth from nearly nothing is a start, not a trend. */
const fillingShare = 0.25;
const soonSeconds = 3_600;

export function connectionFinding(
  forecast: ConnectionForecast,
  { dropped, earlyDropped }: ConnectionTable,
): readonly Finding[] {
  const { node, count, max, growth, full } = forecast;
  const share = count / max;
  const isFull = share >= fullShare || dropped + earlyDropped > 0;
  const isFilling =
    share >= fillingShare &&
    growth !== undefined &&
    growth.low > 0 &&
    (full?.early ?? soonSeconds) < soonSeconds;
  if (!isFull && !isFilling) return [];
  const twice = 2 * max;
  return [
    {
      kind: isFull ? "connections-full" : "connections-filling",
      nodes: [node],
      summary: isFull
        ? `the table of tracked connections of ${node} is full: new connections are dropped, or soon will be`
        : `the table of tracked connections of ${node} will be full in ${renderSpan(forecast)}`,
      evidence: [
        `${node}: ${count} of ${max} entries (${(share * 100).toFixed(0)} %)`,
        ...(growth === undefined
          ? []
          : [
              `${node}: grows by ${growth.mean.toFixed(1)} entries/s (90 %: ${growth.low.toFixed(1)} to ${growth.high.toFixed(1)})`,
            ]),
        ...(dropped + earlyDropped === 0
          ? []
          : [
              `${node}: ${dropped} connections were refused for it and ${earlyDropped} ended early since the agent watches`,
            ]),
      ],
      fixes: [{ node, command: `sysctl -w net.netfilter.nf_conntrack_max=${twice}` }],
    },
  ];
}

/** `5 to 8 min`, or `5 min or later`. */
export function renderSpan({ full }: ConnectionForecast): string {
  if (full === undefined) return "no time that can be seen";
  const minutes = (seconds: number) => Math.max(1, Math.round(seconds / 60));
  const early = minutes(full.early);
  return full.late === undefined
    ? `${early} min or later`
    : `${early} to ${minutes(full.late)} min`;
}
