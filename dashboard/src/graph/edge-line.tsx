/**
 * An edge of the graph: its line tells health by colour *and* dash, its width the rate; its label has the numbers.
 * Where policy refuses packets the line is broken, with the sign for it in the gap.
 */

import { BaseEdge, EdgeLabelRenderer, type EdgeProps } from "@xyflow/react";
import type { ReactElement } from "react";
import { formatPair, formatShare } from "../format.ts";
import { goTo } from "../route.ts";
import { edgeRate } from "../ui/edge-words.tsx";
import { HealthIcon, healthWord } from "../ui/health.tsx";
import { Icon } from "../ui/icon.tsx";
import { Versions } from "../ui/versions.tsx";
import type { LineEdge } from "./graph-canvas.tsx";

export function EdgeLine({ id, data }: EdgeProps<LineEdge>): ReactElement | null {
  if (data === undefined) return null;
  const { edge, path, label, isSelected, isDimmed } = data;
  const { signals, health } = edge;
  const rate = Math.max(signals.requestsPerSecond, edge.dropsPerSecond);
  const width = 1.5 + Math.min(2.5, Math.log10(1 + rate));
  const state = `${isSelected ? "is-selected" : ""} ${isDimmed ? "is-dimmed" : ""}`;
  return (
    <>
      <BaseEdge
        id={id}
        path={path}
        className={`line line-${health} ${state}`}
        style={{ strokeWidth: width }}
      />
      <EdgeLabelRenderer>
        <button
          type="button"
          className={`edge-label edge-label-${health} nodrag nopan ${state}`}
          style={{ transform: `translate(-50%, -50%) translate(${label.x}px, ${label.y}px)` }}
          aria-pressed={isSelected}
          data-edge={id}
          data-health={health}
          onClick={() => goTo({ page: "graph", ...(isSelected ? {} : { selected: id }) })}
        >
          <span className="visually-hidden">
            {edge.source} to {edge.destination}, {healthWord(health)}:
          </span>
          <span className="edge-rate">
            {health === "healthy" || health === "idle" ? null : <HealthIcon health={health} />}
            {edgeRate(edge)}
            {edge.mtls !== undefined && (
              <span className={edge.mtls ? "secure" : "insecure"}>
                <Icon name={edge.mtls ? "lock" : "unlock"} label={edge.mtls ? "mTLS" : "no mTLS"} />
              </span>
            )}
          </span>
          <span className="edge-quality">{qualityOf(edge)}</span>
          <Versions shares={edge.versions} />
        </button>
      </EdgeLabelRenderer>
    </>
  );
}

function qualityOf({ health, protocol, signals }: NonNullable<LineEdge["data"]>["edge"]): string {
  if (health === "refused") return "refused by policy";
  if (health === "idle") return "idle";
  if (protocol === "tcp") return "TCP";
  return `${formatShare(signals.successShare)} · ${formatPair(signals.p50Ms, signals.p99Ms)}`;
}
