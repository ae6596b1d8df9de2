/**
 * What the runtime says of a pod, as the API's PodStatus: pure, from what is known of its containers.
 *
 * It writes everything but the address: that is the agent's to say, because the agent gives it.
 */

import type { Condition } from "../../api/resource.ts";

/** Reason of a container that only has to wait its turn. */
export const creating = "ContainerCreating";
/** Reason of one that will wait for ever: nothing stands for its image. */
export const imageUnknown = "ImageUnknown";

export interface ContainerState {
  readonly name: string;
  readonly image: string;
  readonly phase:
    | { readonly kind: "waiting"; readonly reason: string; readonly message: string }
    | { readonly kind: "running"; readonly ready: boolean }
    | { readonly kind: "ended"; readonly exitCode: number };
  readonly restartCount: number;
}

export interface RuntimeStatus {
  readonly phase: "Pending" | "Running" | "Succeeded" | "Failed";
  /** Why the pod waits and what for; null once it does not. */
  readonly message: string | null;
  readonly reason: string | null;
  readonly startTime: string;
  readonly conditions: readonly Condition[];
  readonly containerStatuses: readonly object[];
}

/** `startTime`: when the runtime took the pod up; `now`: when it became what it is. */
export function podStatus(
  containers: readonly ContainerState[],
  startTime: string,
  now: string,
): RuntimeStatus {
  const ready = containers.every(({ phase }) => phase.kind === "running" && phase.ready);
  const stuck = containers.flatMap(({ phase }) =>
    phase.kind === "waiting" && phase.reason !== creating ? [phase] : [],
  );
  const messages = [...new Set(stuck.map(({ message }) => message))].join("; ");
  const condition = (type: string): Condition => ({
    type,
    status: ready ? "True" : "False",
    lastTransitionTime: now,
    ...(ready ? {} : { reason: "ContainersNotReady", message: messages || notReady(containers) }),
  });
  return {
    phase: phaseOf(containers),
    // Null removes what an earlier status said: this is sent as a merge patch.
    message: messages || null,
    reason: stuck[0]?.reason ?? null,
    startTime,
    conditions: [
      { type: "PodScheduled", status: "True" },
      condition("ContainersReady"),
      condition("Ready"),
    ],
    containerStatuses: containers.map(containerStatus),
  };
}

function phaseOf(containers: readonly ContainerState[]): RuntimeStatus["phase"] {
  if (containers.every(({ phase }) => phase.kind === "ended")) {
    const failed = containers.some(({ phase }) => phase.kind === "ended" && phase.exitCode !== 0);
    return failed ? "Failed" : "Succeeded";
  }
  return containers.some(({ phase }) => phase.kind === "waiting") ? "Pending" : "Running";
}

function notReady(containers: readonly ContainerState[]): string {
  const names = containers
    .filter(({ phase }) => phase.kind !== "running" || !phase.ready)
    .map(({ name }) => name);
  return `not ready: ${names.join(", ")}`;
}

function containerStatus(container: ContainerState): object {
  const { name, image, phase, restartCount } = container;
  const state =
    phase.kind === "waiting"
      ? { waiting: { reason: phase.reason, message: phase.message } }
      : phase.kind === "running"
        ? { running: {} }
        : { terminated: { exitCode: phase.exitCode } };
  return {
    name,
    image,
    restartCount,
    ready: phase.kind === "running" && phase.ready,
    state,
  };
}
