/**
 * Waits until everything that a lab was asked to run is there: every Deployment has its replicas, every pod is Ready.
 *
 * It watches; nothing is asked twice. What is missing at any moment is a list of sentences, which is also what a
 * timeout says.
 */

import type { Deployment, Pod } from "../api/k8s/core.ts";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import type { ObjectClient } from "../rpc/object-client.ts";
import { imageUnknown } from "./pods/status.ts";

export interface Progress {
  readonly ready: number;
  readonly wanted: number;
  /** One sentence for each pod that is not there. */
  readonly missing: readonly string[];
  /** What is more than a matter of time: sentences with the pod's name. */
  readonly problems: readonly string[];
  /** Nothing that is missing will ever come. */
  readonly isHopeless: boolean;
}

/**
 * Resolves when nothing is missing; throws `lab.not-ready` with the list after `timeoutMs`, or once waiting is no use.
 */
export async function untilReady(
  client: ObjectClient,
  timeoutMs: number,
  report: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<void> {
  const startedAt = performance.now();
  const stop = new AbortController();
  const timeout = AbortSignal.timeout(timeoutMs);
  const until = AbortSignal.any([signal, stop.signal, timeout]);
  const state: { pods?: Map<string, Pod>; deployments?: Map<string, Deployment> } = {};
  let last: Progress = {
    ready: 0,
    wanted: 0,
    missing: ["nothing is known yet"],
    problems: [],
    isHopeless: false,
  };
  const look = () => {
    if (state.pods === undefined || state.deployments === undefined) return;
    last = progressOf([...state.deployments.values()], [...state.pods.values()]);
    report(last);
    if (last.missing.length === 0 || last.isHopeless) stop.abort();
  };
  await Promise.all([
    follow<Pod>(client, "Pod", until, (objects) => {
      state.pods = objects;
      look();
    }),
    follow<Deployment>(client, "Deployment", until, (objects) => {
      state.deployments = objects;
      look();
    }),
  ]);
  signal.throwIfAborted();
  if (last.missing.length === 0) return;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  throw new MeshError(
    "lab.not-ready",
    `after ${seconds} s ${last.ready} of ${last.wanted} pods are ready; ${last.missing.join("; ")}`,
  );
}

/** What of the wanted is there. Pods that are on their way out count for nothing. */
export function progressOf(deployments: readonly Deployment[], pods: readonly Pod[]): Progress {
  const living = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const missing: string[] = [];
  const problems: string[] = [];
  let hopeless = 0;
  let wanted = 0;
  for (const pod of living) {
    if (pod.status?.phase === "Succeeded") continue;
    wanted++;
    if (isReady(pod)) continue;
    const sentence = `${nameOf(pod)}: ${whyNot(pod)}`;
    missing.push(sentence);
    if (typeof pod.status?.message === "string") problems.push(sentence);
    if (reasonOf(pod) === imageUnknown) hopeless++;
  }
  for (const deployment of deployments) {
    const replicas = deployment.spec.replicas ?? 1;
    const own = living.filter(({ metadata }) =>
      metadata.ownerReferences?.some(({ uid }) => uid === deployment.metadata.uid),
    ).length;
    if (own >= replicas) continue;
    wanted += replicas - own;
    missing.push(`${nameOf(deployment)}: ${own} of ${replicas} pods made`);
  }
  const isHopeless = hopeless > 0 && hopeless === missing.length;
  return { ready: living.filter(isReady).length, wanted, missing, problems, isHopeless };
}

function reasonOf({ status }: Pod): unknown {
  return isRecord(status) ? status["reason"] : undefined;
}

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") ?? false;
}

function whyNot(pod: Pod): string {
  if (pod.spec.nodeName === undefined) return "no host yet";
  const ready = pod.status?.conditions?.find(({ type }) => type === "Ready");
  return pod.status?.message ?? ready?.message ?? "not started yet";
}

function nameOf(object: Pod | Deployment): string {
  return `${object.metadata.namespace ?? "default"}/${object.metadata.name}`;
}

async function follow<T extends Pod | Deployment>(
  client: ObjectClient,
  kind: string,
  signal: AbortSignal,
  see: (objects: Map<string, T>) => void,
): Promise<void> {
  let objects = new Map<string, T>();
  try {
    for await (const event of client.watch<T>(kind, signal)) {
      if (event.type === "synced") {
        objects = new Map(event.objects.map((object) => [nameOf(object), object]));
      } else if (event.type === "deleted") objects.delete(nameOf(event.object));
      else objects.set(nameOf(event.object), event.object);
      see(objects);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
