/**
 * Server-side apply: merging what a writer wants into what is there, and taking away what it no longer wants.
 *
 * Each writer's fields are remembered in `metadata.managedFields`. A field that the writer applied before, does not
 * apply now, and that no other writer applies, is removed; that is how deleting a line from a manifest takes effect.
 * Simpler than Kubernetes in two ways: a list is one field (the last writer's list wins whole, as it does anyway for
 * Istio's kinds), and a conflict between writers is never refused (`force`).
 */

import type { ManagedFields, Resource } from "../../api/resource.ts";
import { isRecord, sameJson } from "../../base/json.ts";
import { mergePatch, setField } from "../../base/merge-patch.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What `current` (undefined where there is none) becomes when `manager` applies `wanted`. */
export function applyFields(
  current: Resource | undefined,
  wanted: Resource,
  manager: string,
): Resource {
  const applied = fieldsOf(withoutServerFields(wanted));
  const others = (current?.metadata.managedFields ?? []).filter((one) => one.manager !== manager);
  const before = current?.metadata.managedFields?.find((one) => one.manager === manager);
  const kept = [applied, ...others.map((one) => one.fieldsV1)];
  const pruned = before === undefined ? current : prune(current, before.fieldsV1, kept);
  const merged = mergePatch(pruned, withoutNulls(wanted)) as Resource;
  const mine: ManagedFields = {
    manager,
    operation: "Apply",
    apiVersion: wanted.apiVersion,
    fieldsType: "FieldsV1",
    fieldsV1: applied,
  };
  // An unchanged apply keeps the order, and so stays a write that changes nothing.
  const managedFields =
    before !== undefined && sameJson(before, mine)
      ? current?.metadata.managedFields
      : [...others, mine];
  return { ...merged, metadata: { ...merged.metadata, ...(managedFields && { managedFields }) } };
}

/** `{ spec: { replicas: 2 } }` → `{ "f:spec": { "f:replicas": {} } }`. */
function fieldsOf(value: Fields): Fields {
  const fields: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (field === null || field === undefined) continue;
    setField(fields, `f:${key}`, isRecord(field) ? fieldsOf(field) : {});
  }
  return fields;
}

/** What identifies an object is not a writer's field. */
function withoutServerFields(object: Resource): Fields {
  const { labels, annotations, ownerReferences, finalizers } = object.metadata;
  const metadata = { labels, annotations, ownerReferences, finalizers };
  const { apiVersion: _, kind: __, status: ___, ...rest } = object as Resource & Fields;
  return { ...rest, metadata };
}

function prune<T>(value: T, before: Fields, kept: readonly Fields[]): T {
  if (!isRecord(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    const owned = before[`f:${key}`];
    const keepers = kept.map((fields) => fields[`f:${key}`]).filter(isRecord);
    if (!isRecord(owned)) setField(result, key, field);
    else if (keepers.length > 0) setField(result, key, prune(field, owned, keepers));
    else if (isRecord(field) && Object.keys(owned).length > 0) {
      const rest = prune(field, owned, []);
      if (Object.keys(rest).length > 0) setField(result, key, rest);
    }
  }
  return result as T;
}

/** As merging takes them. Those inside lists are judged first, and dropped where the object is written. */
function withoutNulls(value: unknown): unknown {
  if (!isRecord(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (field !== null) setField(result, key, withoutNulls(field));
  }
  return result;
}
