/** Which of Istio's objects a namespace sees, and in which order: `exportTo`, age, the root namespace. */

import type { Resource } from "../../api/resource.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { compareText, objectKey } from "../registry/world.ts";

/** Policies here hold for the whole mesh, as in Istio. */
export const rootNamespace = "istio-system";

/** Absent means everybody; `.` the object's own namespace, `~` nobody. */
export function isVisible(
  exportTo: readonly string[] | undefined,
  owner: string,
  viewer: string,
): boolean {
  if (exportTo === undefined || exportTo.length === 0) return true;
  return exportTo.some(
    (target) => target === "*" || target === viewer || (target === "." && owner === viewer),
  );
}

/** Oldest first, as Istio resolves conflicts; by name where creation times do not tell. */
export function byAge(a: Resource, b: Resource): number {
  return (
    compareText(a.metadata.creationTimestamp ?? "", b.metadata.creationTimestamp ?? "") ||
    compareText(objectKey(a), objectKey(b))
  );
}

/** `VirtualService shop/cart`: how notes name an object. */
export function describe(object: Resource): string {
  return `${object.kind} ${namespaceOf(object)}/${object.metadata.name}`;
}

interface Targeted {
  readonly spec?:
    | { readonly targetRef?: unknown; readonly targetRefs?: readonly unknown[] | undefined }
    | undefined;
}

/**
 * Whether a policy is for what it names (gateways of the Gateway API, waypoints), none of which is here. As with Istio
 * it does not hold for pods then, though it has no selector.
 */
export function isForTargets({ spec }: Targeted): boolean {
  return spec?.targetRef !== undefined || (spec?.targetRefs ?? []).length > 0;
}
