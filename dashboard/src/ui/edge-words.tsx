/** What is said of an edge wherever one is shown. */

import type { ReactElement } from "react";
import type { GraphEdge } from "../../../src/model/observation.ts";
import { formatRate, unknown } from "../format.ts";
import { Icon } from "./icon.tsx";

export function edgeRate(edge: GraphEdge): string {
  if (edge.health === "refused") return formatRate(edge.dropsPerSecond, "drops/s");
  const unit = edge.protocol === "tcp" ? "conn/s" : "req/s";
  return formatRate(edge.signals.requestsPerSecond, unit);
}

export function EdgeSecurity({ edge }: { readonly edge: GraphEdge }): ReactElement {
  if (edge.mtls === undefined) return <span className="dim">{unknown}</span>;
  return edge.mtls ? (
    <span className="secure">
      <Icon name="lock" label="mTLS" /> yes
    </span>
  ) : (
    <span className="insecure">
      <Icon name="unlock" label="no mTLS" /> no
    </span>
  );
}
