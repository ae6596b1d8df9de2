/** A node of the graph. The card selects; the name of a service leads to its page. */

import { Handle, type NodeProps, Position } from "@xyflow/react";
import type { ReactElement } from "react";
import { formatMs, formatRate } from "../format.ts";
import { goTo, hrefOf } from "../route.ts";
import { HealthIcon, healthWord } from "../ui/health.tsx";
import { Icon } from "../ui/icon.tsx";
import type { CardNode } from "./graph-canvas.tsx";

export function NodeCard({ id, data }: NodeProps<CardNode>): ReactElement {
  const { node, isSelected, isDimmed } = data;
  const { namespace, name, kind, signals, health, pods, readyPods } = node;
  const isTimed = signals.p99Ms !== undefined; // connections of TCP are only counted
  const isShort = pods > 0 && readyPods < pods;
  return (
    <div
      className={`card card-${health} ${isSelected ? "is-selected" : ""} ${isDimmed ? "is-dimmed" : ""}`}
      data-node={id}
    >
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <Handle type="source" position={Position.Right} isConnectable={false} />
      <button
        type="button"
        className="card-select"
        aria-pressed={isSelected}
        aria-label={`Select ${name} in ${namespace || "no namespace"}, ${healthWord(health)}`}
        onClick={() => goTo({ page: "graph", ...(isSelected ? {} : { selected: id }) })}
      />
      <div className="card-head">
        <HealthIcon health={health} />
        {kind === "service" ? (
          <a
            className="card-name nopan"
            href={hrefOf({ page: "service", service: { namespace, name } })}
          >
            {name}
          </a>
        ) : (
          <span className="card-name">{name}</span>
        )}
        {pods > 0 && (
          <span className={`card-pods ${isShort ? "is-short" : ""}`} title="pods ready">
            {readyPods}/{pods}
          </span>
        )}
      </div>
      <div className="card-place">
        <Icon
          name={kind === "outside" ? "outside" : kind === "service" ? "services" : "workload"}
        />
        {kind === "outside" ? "outside the mesh" : namespace}
        {!node.hasSidecar && kind !== "outside" && <span> · no sidecar</span>}
      </div>
      <div className="card-signals">
        {signals.requestsPerSecond > 0 ? (
          <>
            <b>{formatRate(signals.requestsPerSecond, isTimed ? "req/s" : "conn/s")}</b>
            {isTimed && <span>p99 {formatMs(signals.p99Ms)}</span>}
          </>
        ) : (
          <span>{kind === "service" ? "no requests" : "a caller"}</span>
        )}
      </div>
    </div>
  );
}
