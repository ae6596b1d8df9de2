/**
 * Gives each pod its node: where fewest of its siblings run, then fewest pods at all.
 *
 * Nodes must be Ready, not cordoned, and carry the labels of the pod's nodeSelector. Placements of one round count for
 * the next pod of the same round, so a Deployment of two lands on two nodes although nothing runs yet.
 */

import type { Node, Pod } from "../../api/k8s/core.ts";
import { sameJson } from "../../base/json.ts";
import { matchesLabels } from "../../core/registry/selector.ts";
import { hasEnded } from "../../core/registry/workloads.ts";
import { objectsOf } from "../../core/registry/world.ts";
import type { Controller, Write } from "./controller.ts";

export const scheduler: Controller = {
  name: "scheduler",
  reads: ["Node", "Pod"],
  reconcile(world) {
    const pods = objectsOf<Pod>(world, "Pod").filter((pod) => !hasEnded(pod));
    const all = objectsOf<Node>(world, "Node");
    const nodes = all.filter(isSchedulable);
    const load = new Map<string, number>();
    const siblings = new Map<string, number>();
    const place = (pod: Pod, node: string) => {
      load.set(node, (load.get(node) ?? 0) + 1);
      const family = `${node} ${ownerOf(pod)}`;
      siblings.set(family, (siblings.get(family) ?? 0) + 1);
    };
    for (const pod of pods) if (pod.spec.nodeName) place(pod, pod.spec.nodeName);

    const writes: Write[] = [];
    for (const pod of pods) {
      if (pod.spec.nodeName || pod.metadata.deletionTimestamp !== undefined) continue;
      const cost = ({ metadata: { name } }: Node): readonly number[] => [
        siblings.get(`${name} ${ownerOf(pod)}`) ?? 0,
        load.get(name) ?? 0,
      ];
      const [best] = nodes
        .filter((node) => matchesLabels(node.metadata.labels, pod.spec.nodeSelector ?? {}))
        .sort((a, b) => compare(cost(a), cost(b)));
      if (best === undefined) {
        const status = unschedulable(pod, all.length, nodes.length);
        if (!sameJson(status, pod.status)) writes.push({ verb: "status", object: pod, status });
        continue;
      }
      place(pod, best.metadata.name);
      const spec = { ...pod.spec, nodeName: best.metadata.name };
      const placed: Pod = { ...pod, spec };
      writes.push({ verb: "update", object: placed });
    }
    return { writes };
  },
};

function isSchedulable(node: Node): boolean {
  return (
    node.metadata.deletionTimestamp === undefined &&
    node.spec?.unschedulable !== true &&
    (node.status?.conditions ?? []).some(
      ({ type, status }) => type === "Ready" && status === "True",
    )
  );
}

/** What makes pods siblings; a pod that nobody owns has none. */
function ownerOf(pod: Pod): string {
  return pod.metadata.ownerReferences?.[0]?.uid ?? pod.metadata.uid ?? pod.metadata.name;
}

function unschedulable(pod: Pod, nodes: number, ready: number): unknown {
  const selector = Object.entries(pod.spec.nodeSelector ?? {});
  const why =
    ready === 0
      ? `${ready} of ${nodes} nodes are ready`
      : `none of ${ready} ready nodes has the labels ${selector.map((pair) => pair.join("=")).join(", ")}`;
  return {
    ...pod.status,
    conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: why }],
  };
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
