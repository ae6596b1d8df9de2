/**
 * From a runtime's container to the pod that the cluster knows.
 *
 * Kubernetes runtimes name namespace, pod and uid; the pod is looked for in the node's own view, so that its policy,
 * which came in the same snapshot, is there with it. The view may lag behind the runtime: it is waited for. Other
 * runtimes know no pods; a Pod object is made for their container (container-pods.ts).
 */

import type { WorkloadView } from "../../model/node-view.ts";
import type { CniArgs } from "../../wire/cni/args.ts";
import { CniError, cniCodes } from "../../wire/cni/error.ts";
import type { AttachmentKey } from "../../wire/cni/request.ts";
import type { Wishes } from "../../wire/cni/wishes.ts";
import type { NodeParts } from "../node-parts.ts";

export interface FoundPod {
  readonly workload: WorkloadView;
  /** The agent made the object and deletes it with the attachment. */
  readonly ownsPod: boolean;
  /** The object was made in this call. */
  readonly isNew: boolean;
}

/** How far a view may lag behind the runtime. Runtimes give an ADD minutes; people watching give up before. */
const lagMs = 10_000;

export async function findPod(
  key: AttachmentKey,
  { args, wishes: { aliases } }: { readonly args: CniArgs; readonly wishes: Wishes },
  parts: NodeParts,
  signal: AbortSignal,
): Promise<FoundPod> {
  const { podNamespace, podName, podUid } = args;
  if (podNamespace !== undefined && podName !== undefined) {
    const pod = { namespace: podNamespace, name: podName, uid: podUid };
    return { workload: await waitFor(pod, parts, signal), ownsPod: false, isNew: false };
  }
  const { isNew, ...pod } = await parts.containerPods.make({
    containerId: key.containerId,
    aliases,
    ...(podName === undefined ? {} : { name: podName }),
    ...(podNamespace === undefined ? {} : { namespace: podNamespace }),
  });
  try {
    return { workload: await waitFor(pod, parts, signal), ownsPod: true, isNew };
  } catch (error) {
    if (isNew) parts.containerPods.unmake(pod.namespace, pod.name);
    throw error;
  }
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
