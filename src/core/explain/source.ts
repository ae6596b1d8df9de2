/** Whose connection it is. */

import type { Pod } from "../../api/k8s/core.ts";
import { MeshError } from "../../base/error.ts";
import { podsCalled } from "../registry/pods-called.ts";
import { addressOf, namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import { meant } from "./meant.ts";

/**
 * The pod that a person means: its name, `namespace/name`, or the name of its Deployment or app, of which the first
 * ready pod stands for all. Throws `explain.source`, naming what there is.
 */
export function resolveSource(world: World, written: string, namespace?: string): Pod {
  const pods = objectsOf<Pod>(world, "Pod");
  const called = podsCalled(pods, written, namespace);
  const [pod] = called;
  const where =
    namespace === undefined || written.includes("/") ? "" : ` in namespace ${namespace}`;
  if (pod === undefined) {
    const names = pods.flatMap((one) => [appOf(one), `${namespaceOf(one)}/${appOf(one)}`]);
    const message = `there is no pod, Deployment or app "${written}"${where}${meant(written, names)}`;
    throw new MeshError("explain.source", message, { fault: "user" });
  }
  const spaces = [...new Set(called.map(namespaceOf))];
  if (spaces.length > 1) {
    const message = `"${written}" is in several namespaces: say which with NAMESPACE/${written} (${spaces.join(", ")})`;
    throw new MeshError("explain.source", message, { fault: "user" });
  }
  if (addressOf(pod) === undefined) {
    const message = `pod ${objectKey(pod)} has no address, so nothing can come from it`;
    throw new MeshError("explain.source", message, { fault: "user" });
  }
  return pod;
}

function appOf(pod: Pod): string {
  return pod.metadata.labels?.["app"] ?? pod.metadata.name;
}
