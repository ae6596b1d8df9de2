/** What of a Sidecar is not done as it asks, said once to whoever wrote it. */

import type { Diagnostic } from "../../base/compiled.ts";
import type { SidecarScope } from "./sidecar-scope.ts";
import { describe } from "./visibility.ts";

export function sidecarNotes({ from }: SidecarScope): readonly Diagnostic[] {
  const { egress = [], ingress = [], outboundTrafficPolicy, inboundConnectionPool } = from.spec;
  const note = (field: string, message: string): Diagnostic => ({
    severity: "warning",
    code: "HEDDLE0114",
    where: `${describe(from)} spec.${field}`,
    message,
  });
  return [
    ...egress.flatMap(({ bind, captureMode }, index) => {
      const field = bind ? "bind" : captureMode === "NONE" ? "captureMode" : undefined;
      if (field === undefined) return [];
      const message =
        "sidecars listen for what they capture, and nowhere else: its hosts are admitted by capture";
      return [note(`egress[${index}].${field}`, message)];
    }),
    ...(ingress.length === 0
      ? []
      : [note("ingress", "ports are taken as Services declare them: its listeners are not made")]),
    ...(outboundTrafficPolicy?.egressProxy === undefined
      ? []
      : [note("outboundTrafficPolicy.egressProxy", "unknown destinations are gone to directly")]),
    ...(inboundConnectionPool === undefined
      ? []
      : [
          note("inboundConnectionPool", "what arrives is limited by the sidecar's own limits only"),
        ]),
  ];
}
