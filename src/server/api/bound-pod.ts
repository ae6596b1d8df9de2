/**
 * What of a Pod stays as it is from the moment it is bound to a node: all that is read once, when it is attached.
 *
 * Capture, the sidecar and its identity are made with the pod and stay for its life, as they do with Istio, which reads
 * its annotations when it injects. Everybody else (callers' configurations, policies, `heddle explain`) reads the Pod.
 * Were a change stored they would believe what does not hold: callers would send in the clear what the pod's sidecar
 * still takes, and refuses under STRICT. So it is refused, as Kubernetes refuses most changes of a Pod's spec.
 */

import { captureAnnotations } from "../../api/istio/capture-annotations.ts";
import type { Pod } from "../../api/k8s/core.ts";
import { type Resource, titleOf } from "../../api/resource.ts";
import type { Issue } from "../../api/validate/issue.ts";
import { sameJson } from "../../base/json.ts";
import { captureOf } from "../../core/registry/capture.ts";
import {
  injectKey,
  isGateway,
  isMeshed,
  serviceAccountOf,
  templatesKey,
} from "../../core/registry/workloads.ts";
import { InvalidObject } from "./invalid.ts";

/** Throws InvalidObject for a change that the pod would not follow; other objects are none of its business. */
export function checkBoundPod(current: Resource | undefined, next: Resource): void {
  if (current?.kind !== "Pod") return;
  const [before, after] = [current as Pod, next as Pod]; // An object stays of its kind.
  if (before.spec.nodeName === undefined) return;
  const changes = [...specChanges(before, after), ...metadataChanges(before, after)];
  if (changes.length > 0) throw new InvalidObject(titleOf(next), changes);
}

function specChanges(before: Pod, after: Pod): readonly Issue[] {
  const fields: Readonly<Record<string, (pod: Pod) => string | boolean | undefined>> = {
    "spec.nodeName": ({ spec }) => spec.nodeName,
    "spec.hostNetwork": ({ spec }) => spec.hostNetwork ?? false,
    "spec.serviceAccountName": serviceAccountOf,
  };
  return Object.entries(fields).flatMap(([path, of]) => change(path, of(before), of(after)));
}

/** The texts that another meaning comes from; `"80"` for `"80,80"` is no change. */
function metadataChanges(before: Pod, after: Pod): readonly Issue[] {
  if (sameJson(proxyOf(before), proxyOf(after))) return [];
  const keys = [injectKey, templatesKey];
  const places = {
    annotations: [...keys, ...Object.keys(captureAnnotations)],
    labels: keys,
  };
  return (["annotations", "labels"] as const).flatMap((field) =>
    places[field].flatMap((key) =>
      change(
        `metadata.${field}[${JSON.stringify(key)}]`,
        before.metadata[field]?.[key],
        after.metadata[field]?.[key],
      ),
    ),
  );
}

/** Which proxy the pod has, and what that takes. */
function proxyOf(pod: Pod): unknown {
  if (!isMeshed(pod)) return "none";
  return isGateway(pod) ? "gateway" : { capture: captureOf(pod) };
}

function change(
  path: string,
  before: string | boolean | undefined,
  after: string | boolean | undefined,
): readonly Issue[] {
  if (before === after) return [];
  const shown = (value: string | boolean | undefined) =>
    value === undefined ? "absent" : JSON.stringify(value);
  const message = `must stay ${shown(before)} for as long as the pod lives, got ${shown(after)}; delete the pod and make it anew`;
  return [{ path, message, severity: "error" }];
}
