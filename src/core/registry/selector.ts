/**
 * Label selectors, as Kubernetes defines them: all requirements must hold, an empty selector selects everything.
 *
 * `NotIn` and `DoesNotExist` also hold where the label is absent. Unknown operators were refused when the object was
 * written.
 */

import type { LabelSelector, LabelSelectorRequirement } from "../../api/resource.ts";
import { unreachable } from "../../base/error.ts";

export type Labels = Readonly<Record<string, string>>;

export function matchesSelector(labels: Labels | undefined, selector: LabelSelector): boolean {
  const present = labels ?? {};
  return (
    matchesLabels(present, selector.matchLabels ?? {}) &&
    (selector.matchExpressions ?? []).every((requirement) => holds(present, requirement))
  );
}

/** The plain form that Services and workload selectors use: every pair must be among the labels. */
export function matchesLabels(labels: Labels | undefined, wanted: Labels): boolean {
  for (const key of Object.keys(wanted)) {
    if (labels?.[key] !== wanted[key]) return false;
  }
  return true;
}

function holds(labels: Labels, requirement: LabelSelectorRequirement): boolean {
  const value = labels[requirement.key];
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    default:
      return unreachable(requirement.operator);
  }
}
