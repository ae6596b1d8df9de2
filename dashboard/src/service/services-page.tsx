/** All services and workloads as a table, the ailing ones first. */

import type { ReactElement } from "react";
import type { GraphNode } from "../../../src/model/observation.ts";
import { useLive } from "../data/live.ts";
import { formatMs, formatRate, formatShare, unknown } from "../format.ts";
import { hrefOf } from "../route.ts";
import { bySeverity, HealthBadge } from "../ui/health.tsx";
import { Section } from "../ui/section.tsx";
import { Command, Empty, NoGraph } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";

const columns: readonly Column<GraphNode>[] = [
  {
    name: "Name",
    cell: ({ namespace, name, kind }) => (
      <>
        {namespace !== "" && <span className="dim">{namespace}/</span>}
        {kind === "service" ? (
          <a href={hrefOf({ page: "service", service: { namespace, name } })}>{name}</a>
        ) : (
          name
        )}
      </>
    ),
  },
  { name: "Health", cell: ({ health }) => <HealthBadge health={health} /> },
  {
    name: "Rate",
    isNumber: true,
    cell: ({ signals }) => formatRate(signals.requestsPerSecond),
  },
  {
    name: "Success",
    isNumber: true,
    cell: ({ signals }) => formatShare(signals.successShare),
  },
  { name: "p50", isNumber: true, isMinor: true, cell: ({ signals }) => formatMs(signals.p50Ms) },
  { name: "p99", isNumber: true, cell: ({ signals }) => formatMs(signals.p99Ms) },
  {
    name: "Pods ready",
    isNumber: true,
    cell: ({ pods, readyPods }) => (pods === 0 ? unknown : `${readyPods} of ${pods}`),
  },
  { name: "Sidecar", isMinor: true, cell: ({ hasSidecar }) => (hasSidecar ? "yes" : "no") },
];

export default function ServicesPage(): ReactElement {
  const { graph, state } = useLive();
  return (
    <>
      <h1>Services</h1>
      {graph === undefined ? (
        <NoGraph isAway={state === "away"} />
      ) : graph.nodes.length === 0 ? (
        <Empty title="No services and no traffic yet">
          <p>
            Bring some: <Command>heddle lab apply my-service.yaml</Command>
          </p>
        </Empty>
      ) : (
        <>
          <NodesSection title="Services" nodes={graph.nodes.filter(isService)} />
          <NodesSection
            title="Callers"
            note="workloads that no Service stands for, and what is outside the mesh"
            nodes={graph.nodes.filter((node) => !isService(node))}
          />
        </>
      )}
    </>
  );
}

function NodesSection({
  title,
  note,
  nodes,
}: {
  readonly title: string;
  readonly note?: string;
  readonly nodes: readonly GraphNode[];
}): ReactElement | null {
  if (nodes.length === 0) return null;
  const sorted = nodes.toSorted((a, b) => bySeverity(a.health, b.health) || (a.id < b.id ? -1 : 1));
  return (
    <Section title={title} {...(note !== undefined && { note })}>
      <Table label={title} columns={columns} rows={sorted} keyOf={({ id }) => id} />
    </Section>
  );
}

function isService({ kind }: GraphNode): boolean {
  return kind === "service";
}
