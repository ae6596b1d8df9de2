/** Faults that a route injects: part of the traffic never leaves the source's sidecar. */

import type { Route } from "../../model/proxy-config.ts";
import type { Decider } from "./explanation.ts";
import type { Part } from "./way.ts";

/** `written`: where the fault is, in the rule that the route is of. */
export function withFault(
  route: Route | undefined,
  written: Decider | undefined,
  parts: readonly Part[],
): readonly Part[] {
  const abort = route?.fault?.abort;
  if (abort === undefined || abort.percent <= 0) return parts;
  const share = Math.min(abort.percent, 100) / 100;
  const by = written === undefined ? [] : [{ ...written, path: `${written.path}.abort` }];
  const what = "status" in abort ? `${abort.status}` : `status ${abort.grpcStatus} of gRPC`;
  const detail = `a fault is injected into ${abort.percent} % of the requests: ${what}`;
  const aborted: Part = {
    share,
    steps: [{ step: "route", outcome: "refuse", by, detail }],
    end: {
      kind: "verdict",
      verdict: {
        outcome: "answered",
        status: "status" in abort ? abort.status : 200, // a failed call of gRPC has that, too
        sentence: `${what}: ${detail}`,
      },
    },
  };
  const others = parts.map((part) => ({ ...part, share: part.share * (1 - share) }));
  return share >= 1 ? [aborted] : [aborted, ...others];
}
