/** Which pods a person means by a word: a pod's name, `namespace/name`, or the name of its Deployment or app. */

import type { Pod } from "../../api/k8s/core.ts";
import { isReady, namespaceOf } from "./workloads.ts";
import { compareText, objectKey } from "./world.ts";

/**
 * A pod of that very name alone, else all that belong to a Deployment or app of the name: ready ones first, then by
 * name. Pods on their way out are not meant. `namespace` holds where the word names none.
 */
export function podsCalled(
  pods: readonly Pod[],
  word: string,
  namespace: string | undefined,
): readonly Pod[] {
  const slash = word.indexOf("/");
  const name = word.slice(slash + 1);
  const space = slash < 0 ? namespace : word.slice(0, slash);
  const living = pods
    .filter((pod) => space === undefined || namespaceOf(pod) === space)
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const exact = living.filter(({ metadata }) => metadata.name === name);
  const meant = exact.length > 0 ? exact : living.filter((pod) => belongsTo(pod, name));
  return [...meant].sort(
    (a, b) => Number(isReady(b)) - Number(isReady(a)) || compareText(objectKey(a), objectKey(b)),
  );
}

function belongsTo(pod: Pod, name: string): boolean {
  const { labels, ownerReferences } = pod.metadata;
  return (
    (ownerReferences?.some((owner) => owner.name === name) ?? false) || labels?.["app"] === name
  );
}
