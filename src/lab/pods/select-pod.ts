/**
 * Which pod a person means: its name, `namespace/name`, or the name of its Deployment or app, of which the first ready
 * one is taken.
 */

import type { Pod } from "../../api/k8s/core.ts";
import { MeshError } from "../../base/error.ts";
import { podsCalled } from "../../core/registry/pods-called.ts";
import { namespaceOf } from "../../core/registry/workloads.ts";
import { objectKey } from "../../core/registry/world.ts";

/** Throws `lab.pod.absent` or `lab.pod.ambiguous`, both naming what there is. */
export function selectPod(pods: readonly Pod[], wanted: string, namespace?: string): Pod {
  const candidates = podsCalled(pods, wanted, namespace);
  const [first] = candidates;
  if (first === undefined) {
    const slash = wanted.indexOf("/");
    const space = slash < 0 ? namespace : wanted.slice(0, slash);
    const there = pods
      .filter((pod) => space === undefined || namespaceOf(pod) === space)
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(objectKey)
      .sort()
      .join(", ");
    throw new MeshError(
      "lab.pod.absent",
      `there is no pod, Deployment or app named "${wanted}"${space === undefined ? "" : ` in namespace ${space}`}; there are: ${there || "none"}`,
      { fault: "user" },
    );
  }
  const spaces = new Set(candidates.map(namespaceOf));
  if (spaces.size > 1) {
    throw new MeshError(
      "lab.pod.ambiguous",
      `"${wanted}" is in several namespaces: say which with NAMESPACE/${wanted} (${[...spaces].join(", ")})`,
      { fault: "user" },
    );
  }
  return first;
}
