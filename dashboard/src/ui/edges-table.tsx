/** Edges as a table: who talks to whom, and how that goes. Worst first, then the busiest. */

import type { ReactElement } from "react";
import type { GraphEdge } from "../../../src/model/observation.ts";
import { formatMs, formatShare } from "../format.ts";
import { hrefOf, serviceNamed } from "../route.ts";
import { EdgeSecurity, edgeRate } from "./edge-words.tsx";
import { bySeverity, HealthBadge } from "./health.tsx";
import { type Column, Table } from "./table.tsx";
import { Versions } from "./versions.tsx";

export function EdgesTable({
  label,
  edges,
  end,
}: {
  readonly label: string;
  readonly edges: readonly GraphEdge[];
  /** Which end is of interest: the other one is the page's own. */
  readonly end: "source" | "destination";
}): ReactElement {
  const columns: readonly Column<GraphEdge>[] = [
    { name: end === "source" ? "From" : "To", cell: (edge) => <PartyLink id={edge[end]} /> },
    { name: "Health", cell: ({ health }) => <HealthBadge health={health} /> },
    { name: "Rate", isNumber: true, cell: edgeRate },
    {
      name: "Success",
      isNumber: true,
      cell: ({ signals }) => formatShare(signals.successShare),
    },
    { name: "p50", isNumber: true, isMinor: true, cell: ({ signals }) => formatMs(signals.p50Ms) },
    { name: "p99", isNumber: true, cell: ({ signals }) => formatMs(signals.p99Ms) },
    { name: "mTLS", cell: (edge) => <EdgeSecurity edge={edge} /> },
    {
      name: "Versions",
      isMinor: true,
      cell: ({ versions, dropReason }) => dropReason ?? <Versions shares={versions} />,
    },
  ];
  return <Table label={label} columns={columns} rows={sortedEdges(edges)} keyOf={({ id }) => id} />;
}

export function sortedEdges(edges: readonly GraphEdge[]): readonly GraphEdge[] {
  return edges.toSorted(
    (a, b) =>
      bySeverity(a.health, b.health) ||
      b.signals.requestsPerSecond - a.signals.requestsPerSecond ||
      (a.id < b.id ? -1 : 1),
  );
}

function PartyLink({ id }: { readonly id: string }): ReactElement {
  const service = serviceNamed(id);
  if (service === undefined) return <span>{id}</span>;
  return (
    <a href={hrefOf({ page: "service", service })}>
      <span className="dim">{service.namespace}/</span>
      {service.name}
    </a>
  );
}
