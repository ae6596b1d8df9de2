/** Verdicts: of one branch, and of all of them together. */

import type {
  Branch,
  BranchVerdict,
  Decider,
  Difference,
  NearMiss,
  Seen,
  StepName,
  Verdict,
} from "./explanation.ts";
import { renderSeen } from "./seen.ts";

export interface RefusalReason {
  readonly by: readonly Decider[];
  readonly detail: string;
  readonly nearest?: NearMiss | undefined;
}

export function refusal(
  at: StepName,
  seen: Seen,
  { by, detail, nearest }: RefusalReason,
): BranchVerdict {
  return {
    outcome: "refused",
    at,
    seen,
    by,
    ...(nearest === undefined ? {} : { nearest }),
    sentence: `${renderSeen(seen)}: ${detail}`,
  };
}

/** One verdict where all branches agree in what the application sees; else `mixed`. */
export function verdictOf(branches: readonly Branch[]): Verdict {
  const [first] = branches;
  if (first === undefined) throw new Error("an explanation has at least one branch");
  const kinds = new Set(branches.map(({ verdict }) => summary(verdict)));
  if (kinds.size === 1) return first.verdict;
  const allowedShare = branches
    .filter(({ verdict }) => verdict.outcome === "allowed")
    .reduce((sum, { share }) => sum + share, 0);
  const parts = branches.map(({ share, verdict }) => `${percent(share)} ${summary(verdict)}`);
  return { outcome: "mixed", allowedShare, sentence: parts.join(", ") };
}

export function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}

/** `NetworkPolicy shop/cart spec.ingress[0]`. */
export function renderDecider({ kind, name, path }: Decider): string {
  return [kind, name, ...(path === undefined ? [] : [path])].join(" ");
}

/** `spec.ingress[0].from[0]…: have app=web, want app=cart`. */
export function renderDifference({ path, have, want }: Difference): string {
  return `${path}: have ${have}, want ${want}`;
}

function summary(verdict: BranchVerdict): string {
  switch (verdict.outcome) {
    case "allowed":
      return "allowed";
    case "answered":
      return `answered ${verdict.status}`;
    case "refused":
      return `refused, ${renderSeen(verdict.seen)}, by ${verdict.at}`;
  }
}
