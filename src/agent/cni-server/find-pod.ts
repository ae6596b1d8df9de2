/**
 * From a runtime's container to the pod that the cluster knows.
 *
 * Kubernetes runtimes name namespace, pod and uid; the pod is looked for in the node's own view, so that its policy,
 * which came in the same snapshot, is there with it. The view may lag behind the runtime: it is waited for. Other
 * runtimes know no pods; a Pod object is made for their container, in namespace `default`, so that selectors, services
 * and identity work the same.
 */

import type { Pod } from "../../api/k8s/core.ts";
import { MeshError, renderError } from "../../base/error.ts";
import type { WorkloadView } from "../../model/node-view.ts";
import type { CniArgs } from "../../wire/cni/args.ts";
import { CniError, cniCodes } from "../../wire/cni/error.ts";
import type { AttachmentKey } from "../../wire/cni/request.ts";
import type { NodeParts } from "../node-parts.ts";

export interface FoundPod {
  readonly workload: WorkloadView;
  /** The agent made the object and deletes it with the attachment. */
  readonly ownsPod: boolean;
}

/** How far a view may lag behind the runtime. Runtimes give an ADD minutes; people watching give up before. */
const lagMs = 10_000;

export async function findPod(
  key: AttachmentKey,
  args: CniArgs,
  parts: NodeParts,
  signal: AbortSignal,
): Promise<FoundPod> {
  const { podNamespace, podName, podUid } = args;
  if (podNamespace !== undefined && podName !== undefined) {
    const pod = { namespace: podNamespace, name: podName, uid: podUid };
    return { workload: await waitFor(pod, parts, signal), ownsPod: false };
  }
  const pod = await makePod(key, podName, parts);
  return { workload: await waitFor(pod, parts, signal), ownsPod: true };
}

interface Wanted {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | undefined;
}

async function waitFor(pod: Wanted, parts: NodeParts, signal: AbortSignal): Promise<WorkloadView> {
  const deadline = AbortSignal.timeout(lagMs);
  try {
    return await parts.dataplane.views.wait(
      (view) =>
        view.workloads.find(
          (each) =>
            each.namespace === pod.namespace &&
            each.name === pod.name &&
            each.node === parts.node &&
            (pod.uid === undefined || each.uid === pod.uid),
        ),
      AbortSignal.any([signal, deadline]),
    );
  } catch (error) {
    if (!deadline.aborted) throw error;
    const has = parts.dataplane.views.get() === undefined ? "no view at all" : "its newest view";
    throw new CniError(
      cniCodes.tryAgainLater,
      `find pod ${pod.namespace}/${pod.name}: node ${parts.node} waited ${lagMs / 1000} s for it and has ${has} ` +
        "from the server; is the pod bound to this node, and the server reachable?",
      { details: pod.uid === undefined ? "" : `uid ${pod.uid}` },
    );
  }
}

async function makePod(
  key: AttachmentKey,
  runtimeName: string | undefined,
  parts: NodeParts,
): Promise<Wanted> {
  const name = podName(runtimeName ?? `container-${key.containerId.slice(0, 12)}`);
  const pod: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "default",
      annotations: { "heddle.dev/container-id": key.containerId },
    },
    // The runtime runs the container; the object only says that it is there.
    spec: { nodeName: parts.node, containers: [{ name: "container", image: "unknown" }] },
  };
  try {
    const created = await parts.objects.create(pod);
    return { namespace: "default", name, uid: created.metadata.uid };
  } catch (error) {
    if (!(error instanceof MeshError) || error.code !== "api.exists") throw error;
    const there = await parts.objects.get<Pod>("Pod", "default", name);
    const owner = there?.metadata.annotations?.["heddle.dev/container-id"];
    if (there === undefined || owner !== key.containerId) {
      throw new CniError(
        cniCodes.invalidConfig,
        `name container ${key.containerId}: pod default/${name} is another`,
      );
    }
    return { namespace: "default", name, uid: there.metadata.uid };
  }
}

/** A DNS label: what the API accepts as a pod's name. */
function podName(text: string): string {
  const label = text
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .slice(0, 63)
    .replace(/^-+|-+$/g, "");
  return label === "" ? "container" : label;
}

/** Deletes the object that `findPod` made. */
export function unmakePod(namespace: string, name: string, parts: NodeParts): void {
  parts.objects.delete("Pod", namespace, name).catch((error: unknown) => {
    parts.log.warn("pod of a container is not deleted", {
      pod: `${namespace}/${name}`,
      error: renderError(error),
    });
  });
}
