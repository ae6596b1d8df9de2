/**
 * Where a pod's sidecar runs, as the one who supervises it sees it: a process of its own (dedicated.ts), or a worker
 * that serves many (workers.ts). What it takes to start, follow and end one is the same for both.
 */

import type { ProcessId } from "../../kernel/process-id.ts";
import type { Assignment } from "./assignment.ts";

/** A pod that is to be served. */
export interface PodToServe {
  readonly containerId: string;
  readonly assignment: Omit<Assignment, "uid" | "predecessor">;
  readonly adminSocket: string;
  readonly logFile: string;
  /** Called with each process that is given the pod, before it is told so. */
  readonly remember: (served: ServingProcess) => void;
}

/** What is written down of it, for the next agent. */
export interface ServingProcess {
  readonly process: ProcessId;
  /** Name of the worker; undefined: the process is the pod's alone. */
  readonly worker?: string;
}

/** A process that serves the pod. */
export interface Serving extends ServingProcess {
  /** Resolves when it no longer does, whatever the reason. */
  readonly ended: Promise<void>;
  /** Another has taken over: what is in flight finishes here. */
  retire(): void;
  /** Asks it to finish, and after `drainMs` no longer asks. Resolves when it has ended. */
  end(drainMs: number): Promise<void>;
}

export interface SidecarHost {
  /** Resolves when the sidecar is ready; throws, with nothing left of the try, where it cannot be. */
  launch(pod: PodToServe, signal: AbortSignal, predecessor?: number): Promise<Serving>;
  /** What an earlier agent left; undefined where it no longer serves the pod. */
  adopt(pod: PodToServe, left: ServingProcess, signal: AbortSignal): Promise<Serving | undefined>;
}
