/** Which objects a list or watch is about: `labelSelector` and `fieldSelector` as the query string writes them. */

import type { LabelSelectorRequirement, Resource } from "../../api/resource.ts";
import { isRecord } from "../../base/json.ts";
import { matchesSelector } from "../../core/registry/selector.ts";
import { badRequest } from "./body.ts";

export type Selection = (object: Resource) => boolean;

export function parseSelection(query: URLSearchParams): Selection {
  const matchExpressions = requirements(query.get("labelSelector") ?? "");
  const fields = fieldTerms(query.get("fieldSelector") ?? "");
  return (object) =>
    matchesSelector(object.metadata.labels, { matchExpressions }) &&
    fields.every(({ field, value, equal }) => (read(object, field) === value) === equal);
}

function requirements(text: string): readonly LabelSelectorRequirement[] {
  // Commas also separate the values of a set, so only those outside parentheses part terms.
  const terms = text.match(/[^,(]+(\([^)]*\))?/g) ?? [];
  return terms.map((raw) => {
    const term = raw.trim();
    const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(term);
    if (set) {
      const [, key = "", operator, list = ""] = set;
      const values = list.split(",").map((value) => value.trim());
      return { key, operator: operator === "in" ? "In" : "NotIn", values };
    }
    const pair = /^([^\s!=]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(term);
    if (pair) {
      const [, key = "", operator, value = ""] = pair;
      return { key, operator: operator === "!=" ? "NotIn" : "In", values: [value] };
    }
    const presence = /^(!?)\s*([^\s!=]+)$/.exec(term);
    if (presence) {
      const [, not, key = ""] = presence;
      return { key, operator: not ? "DoesNotExist" : "Exists" };
    }
    throw badRequest(
      `parse labelSelector: want key=value, key in (a,b), key or !key, got "${term}"`,
    );
  });
}

const selectableFields = [
  "metadata.name",
  "metadata.namespace",
  "spec.nodeName",
  "status.phase",
  "status.podIP",
  "type",
];

function fieldTerms(text: string) {
  return text
    .split(",")
    .filter((term) => term.trim() !== "")
    .map((term) => {
      const [, field = "", operator, value = ""] = /^\s*([^=!]+)(==|=|!=)(.*)$/.exec(term) ?? [];
      if (!selectableFields.includes(field)) {
        const wanted = selectableFields.join(", ");
        throw badRequest(`parse fieldSelector: want one of ${wanted} with = or !=, got "${term}"`);
      }
      return { field, value, equal: operator !== "!=" };
    });
}

/** The field as text; an absent field equals the empty text, as in Kubernetes. */
function read(object: Resource, field: string): string {
  let value: unknown = object;
  for (const key of field.split(".")) value = isRecord(value) ? value[key] : undefined;
  return typeof value === "string" ? value : "";
}
