/** What the prefix of a refused packet means, in words and with the policies to blame: names.ts read with the view. */

import type { NodeView } from "../../model/node-view.ts";
import type { Direction, Drop, DropReason } from "./names.ts";

export interface DropExplanation {
  readonly direction: Direction;
  readonly reason: string;
  /** `namespace/name`; empty where no policy decided. */
  readonly policies: readonly string[];
}

const admission: Readonly<Record<DropReason, string>> = {
  "spoofed-source": "its source address is not the pod's",
  "unknown-link": "its link belongs to no attached pod",
  "overlay-from-pod": "pods may not send overlay packets",
  unencrypted: "between nodes it would not be encrypted, and the network wants wireguard",
  "loopback-from-pod": "pods may not send to loopback addresses",
  "no-local-endpoint": "the Service is served on the node itself only, and has no endpoint on it",
  "no-service": "no Service has this address and port",
  "source-range": "the Service takes nobody from this source address",
};

export function explainDrop(drop: Drop, view: NodeView | undefined): DropExplanation {
  if (drop.kind === "admission") {
    return { direction: "egress", reason: admission[drop.reason], policies: [] };
  }
  const { direction, identity } = drop;
  if (identity === undefined) {
    return { direction, reason: "the node does not know the pod yet", policies: [] };
  }
  const isolated = view?.policies.find((each) => each.identity === identity)?.[direction];
  // The packet may be older than the view.
  const policies = isolated?.isolatedBy ?? [];
  const by =
    policies.length === 0 ? "a policy that is gone by now" : `NetworkPolicy ${policies.join(", ")}`;
  return { direction, reason: `no rule allows it, isolated for ${direction} by ${by}`, policies };
}
