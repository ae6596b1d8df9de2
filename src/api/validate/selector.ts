/** Label selectors, in both of their forms. */

import type { LabelSelectorRequirement } from "../resource.ts";
import { labelKey, labels, labelValue } from "./names.ts";
import { type Check, refine } from "./schema/check.ts";
import { list, mapOf, record } from "./schema/record.ts";
import { oneOf, text } from "./schema/scalar.ts";

const operators = ["In", "NotIn", "Exists", "DoesNotExist"] as const;

const requirement: Check = refine<LabelSelectorRequirement>(
  record({ "key!": labelKey, "operator!": oneOf(...operators), values: list(labelValue) }),
  ({ operator, values = [] }, at) => {
    const takesValues = operator === "In" || operator === "NotIn";
    if (takesValues && values.length === 0) {
      at.field("values").error(`is required with operator ${operator}`);
    }
    if (!takesValues && values.length > 0) {
      at.field("values").error(
        `must be absent with operator ${operator}, got ${values.length} items`,
      );
    }
  },
);

/** Kubernetes' LabelSelector: matchLabels and matchExpressions. */
export const labelSelector: Check = record({
  matchLabels: labels,
  matchExpressions: list(requirement),
});

/** Istio's: matchLabels only, and no wildcards in it. */
export const workloadSelector: Check = record({
  matchLabels: mapOf(
    text((value) => (value.includes("*") ? "must not have a wildcard" : undefined)),
    text((key) =>
      key === ""
        ? "must be a non-empty label key"
        : key.includes("*")
          ? "must not have a wildcard"
          : undefined,
    ),
  ),
});
