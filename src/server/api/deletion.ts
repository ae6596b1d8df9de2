/**
 * How objects go: at once, or after somebody has done something.
 *
 * A pod that runs on a node goes gracefully: it is marked, its node stops it and then deletes it with no grace left.
 * An object with finalizers waits until the last is taken off. A namespace waits until it is empty (the namespaces
 * controller empties it). Everything else is gone at once.
 */

import type { Pod } from "../../api/k8s/core.ts";
import { type Resource, titleOf } from "../../api/resource.ts";
import { MeshError } from "../../base/error.ts";

export interface DeleteOptions {
  /** 0: now, without waiting for the node. */
  readonly gracePeriodSeconds?: number;
  /** Only the object with this uid; another of the same name is a conflict. */
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** Namespaces that every installation has. */
export const permanentNamespaces: readonly string[] = ["default", "kube-system", "kube-public"];

/** `gone`: remove it. Otherwise store `object`, which waits. Throws where it must not be deleted. */
export function deletion(
  current: Resource,
  options: DeleteOptions,
  nowMs: number,
): { readonly gone: boolean; readonly object: Resource } {
  const { metadata } = current;
  const what = titleOf(current);
  if (options.uid !== undefined && options.uid !== metadata.uid) {
    throw conflict(`delete ${what}: the one with uid ${options.uid} is gone`);
  }
  if (
    options.resourceVersion !== undefined &&
    options.resourceVersion !== metadata.resourceVersion
  ) {
    throw conflict(`delete ${what}: version ${options.resourceVersion} was replaced`);
  }
  if (current.kind === "Namespace" && permanentNamespaces.includes(metadata.name)) {
    throw new MeshError("api.forbidden", `delete ${what}: every installation has it`, {
      fault: "user",
    });
  }
  const seconds = graceSeconds(current, options);
  if (seconds === 0 && (metadata.finalizers ?? []).length === 0) {
    return { gone: true, object: current };
  }
  if (metadata.deletionTimestamp !== undefined) return { gone: false, object: current };
  const at = new Date(nowMs + seconds * 1000).toISOString().slice(0, 19);
  const marked = {
    ...current,
    ...(current.kind === "Namespace" && { status: { phase: "Terminating" } }),
    metadata: { ...metadata, deletionTimestamp: `${at}Z` },
  };
  return { gone: false, object: marked };
}

/** True for an object that was only waiting for finalizers, once it has none. */
export function isReadyToGo(object: Resource): boolean {
  const { deletionTimestamp, finalizers = [] } = object.metadata;
  return (
    deletionTimestamp !== undefined && finalizers.length === 0 && graceSeconds(object, {}) === 0
  );
}

function graceSeconds(object: Resource, options: DeleteOptions): number {
  if (options.gracePeriodSeconds === 0) return 0;
  // Its objects go first: the namespaces controller comes back with no grace.
  if (object.kind === "Namespace") return 1;
  if (object.kind !== "Pod") return 0;
  const { spec } = object as Pod;
  if (spec.nodeName === undefined) return 0;
  return options.gracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30;
}

function conflict(message: string): MeshError {
  return new MeshError("api.conflict", message, { fault: "user" });
}
