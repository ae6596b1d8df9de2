/**
 * Which pod a person means: its name, `namespace/name`, or the name of its Deployment or app, of which the first ready
 * one is taken.
 */

import type { Pod } from "../../api/k8s/core.ts";
import { MeshError } from "../../base/error.ts";
import { isReady } from "../readiness-wait.ts";

/** Throws `lab.pod.absent` or `lab.pod.ambiguous`, both naming what there is. */
export function selectPod(pods: readonly Pod[], wanted: string, namespace?: string): Pod {
  const slash = wanted.indexOf("/");
  const name = wanted.slice(slash + 1);
  const space = slash < 0 ? namespace : wanted.slice(0, slash);
  const living = pods
    .filter(({ metadata }) => space === undefined || metadata.namespace === space)
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const exact = living.filter(({ metadata }) => metadata.name === name);
  const candidates = exact.length > 0 ? exact : living.filter((pod) => belongsTo(pod, name));
  const first = candidates.find(isReady) ?? candidates[0];
  if (first === undefined) {
    const there = living.map(nameOf).join(", ");
    throw new MeshError(
      "lab.pod.absent",
      `there is no pod, Deployment or app named "${wanted}"${space === undefined ? "" : ` in namespace ${space}`}; there are: ${there || "none"}`,
      { fault: "user" },
    );
  }
  const spaces = new Set(candidates.map(({ metadata }) => metadata.namespace));
  if (spaces.size > 1) {
    throw new MeshError(
      "lab.pod.ambiguous",
      `"${wanted}" is in several namespaces: say which with NAMESPACE/${wanted} (${[...spaces].join(", ")})`,
      { fault: "user" },
    );
  }
  return first;
}

function belongsTo(pod: Pod, name: string): boolean {
  const { labels, ownerReferences } = pod.metadata;
  return (
    (ownerReferences?.some((owner) => owner.name === name) ?? false) || labels?.["app"] === name
  );
}

function nameOf({ metadata }: Pod): string {
  return `${metadata.namespace ?? "default"}/${metadata.name}`;
}
