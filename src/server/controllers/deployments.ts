/**
 * Deployments to pods, without ReplicaSets between: a pod carries the hash of the template it was made from.
 *
 * A changed template replaces pods one by one: at most one more than wanted, and never fewer ready ones than wanted
 * (maxSurge 1, maxUnavailable 0); `strategy: Recreate` removes all first. Pods that have ended are replaced too, but
 * one that failed right after its start only after a pause, so that a broken image does not churn through pods.
 */

import type { Deployment, Pod } from "../../api/k8s/core.ts";
import { hashHex } from "../../base/hash.ts";
import { canonicalJson, sameJson } from "../../base/json.ts";
import type { Random } from "../../base/random.ts";
import { hasEnded, isReady } from "../../core/registry/workloads.ts";
import { objectsOf } from "../../core/registry/world.ts";
import { suffix } from "../api/next-state.ts";
import type { Controller, Given, Reconciled, Write } from "./controller.ts";

export const deployments: Controller = {
  name: "deployments",
  reads: ["Deployment", "Pod"],
  reconcile(world, given) {
    const pods = podsByOwner(objectsOf<Pod>(world, "Pod"));
    const parts = objectsOf<Deployment>(world, "Deployment")
      .filter((deployment) => deployment.metadata.deletionTimestamp === undefined)
      .map((deployment) =>
        reconcileOne(deployment, pods.get(deployment.metadata.uid ?? "") ?? [], given),
      );
    const pauses = parts.flatMap(({ againInMs }) => againInMs ?? []);
    return {
      writes: parts.flatMap(({ writes }) => writes),
      ...(pauses.length > 0 && { againInMs: Math.min(...pauses) }),
    };
  },
};

export const templateHashLabel = "pod-template-hash";

/** A pod that fails younger than this is left as it is until it has reached this age. */
const leastFailedAgeMs = 10_000;

function reconcileOne(deployment: Deployment, pods: readonly Pod[], given: Given): Reconciled {
  const wanted = deployment.spec.replicas ?? 1;
  const hash = hashOf(deployment.spec.template);
  const present = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const active = present.filter((pod) => !hasEnded(pod));
  const isFresh = (pod: Pod) => pod.metadata.labels?.[templateHashLabel] === hash;
  const fresh = active.filter(isFresh);
  const stale = active.filter((pod) => !isFresh(pod));

  const ages = present.filter(hasEnded).map((pod) => ({ pod, ageMs: ageOf(pod, given.nowMs) }));
  const resting = ages.filter(({ ageMs }) => ageMs < leastFailedAgeMs);
  const buried = ages.filter(({ ageMs }) => ageMs >= leastFailedAgeMs).map(({ pod }) => pod);

  const recreate = strategyOf(deployment) === "Recreate";
  const oldOnes = recreate ? pods.filter((pod) => !isFresh(pod)).length : stale.length;
  const room = oldOnes > 0 ? (recreate ? 0 : wanted + 1) : wanted;
  const missing = Math.min(wanted - fresh.length, room - active.length) - resting.length;
  const created = Array.from({ length: Math.max(0, missing) }, () =>
    podOf(deployment, hash, given.random),
  );

  const ready = active.filter(isReady).length;
  const idle = stale.filter((pod) => !isReady(pod));
  const spare = recreate ? stale.length : Math.max(0, ready - wanted);
  const retired = recreate ? stale : [...idle, ...stale.filter(isReady).slice(0, spare)];
  const excess = [...fresh].sort(byWorth).slice(wanted);

  const gone = [...buried, ...retired, ...excess];
  const status = statusFor(deployment, active, fresh, wanted);
  const writes: Write[] = [
    ...created.map((object): Write => ({ verb: "create", object })),
    ...gone.map((object): Write => ({ verb: "delete", object })),
  ];
  if (!sameJson(status, deployment.status)) {
    writes.push({ verb: "status", object: deployment, status });
  }
  const pauses = resting.map(({ ageMs }) => leastFailedAgeMs - ageMs);
  return { writes, ...(pauses.length > 0 && { againInMs: Math.min(...pauses) }) };
}

/** Objects never change, so neither do their hashes: 1 000 Deployments cost 17 ms a round without remembering them. */
const hashes = new WeakMap<Deployment["spec"]["template"], string>();

function hashOf(template: Deployment["spec"]["template"]): string {
  const known = hashes.get(template);
  if (known !== undefined) return known;
  const hash = hashHex(canonicalJson(template), 10);
  hashes.set(template, hash);
  return hash;
}

function podsByOwner(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const owned = new Map<string, Pod[]>();
  for (const pod of pods) {
    const owner = pod.metadata.ownerReferences?.find(({ kind }) => kind === "Deployment");
    if (owner === undefined) continue;
    const siblings = owned.get(owner.uid) ?? [];
    owned.set(owner.uid, siblings);
    siblings.push(pod);
  }
  return owned;
}

function podOf(deployment: Deployment, hash: string, random: Random): Pod {
  const { metadata, spec } = deployment;
  const { template } = spec;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${metadata.name}-${hash}-${suffix(random)}`,
      ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
      labels: { ...template.metadata?.labels, [templateHashLabel]: hash },
      ...(template.metadata?.annotations && { annotations: template.metadata.annotations }),
      ownerReferences: [
        {
          apiVersion: deployment.apiVersion,
          kind: "Deployment",
          name: metadata.name,
          uid: metadata.uid ?? "",
          controller: true,
        },
      ],
    },
    spec: template.spec,
  };
}

/** Most worth keeping first: ready, then placed, then oldest. */
function byWorth(a: Pod, b: Pod): number {
  return (
    Number(isReady(b)) - Number(isReady(a)) ||
    Number(b.spec.nodeName !== undefined) - Number(a.spec.nodeName !== undefined) ||
    (createdAt(a) < createdAt(b) ? -1 : 1)
  );
}

function statusFor(
  deployment: Deployment,
  active: readonly Pod[],
  fresh: readonly Pod[],
  wanted: number,
) {
  const readyReplicas = active.filter(isReady).length;
  const available = readyReplicas >= wanted;
  return {
    observedGeneration: deployment.metadata.generation ?? 1,
    replicas: active.length,
    updatedReplicas: fresh.length,
    readyReplicas,
    availableReplicas: readyReplicas,
    unavailableReplicas: Math.max(0, wanted - readyReplicas),
    conditions: [
      {
        type: "Available",
        status: available ? "True" : "False",
        reason: available ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
        message: `${readyReplicas} of ${wanted} pods are ready`,
      },
    ],
  };
}

function strategyOf(deployment: Deployment): string {
  return deployment.spec.strategy?.type ?? "RollingUpdate";
}

function createdAt(pod: Pod): string {
  return pod.metadata.creationTimestamp ?? "";
}

function ageOf(pod: Pod, nowMs: number): number {
  return nowMs - Date.parse(createdAt(pod) || "1970-01-01T00:00:00Z");
}
