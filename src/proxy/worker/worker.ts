/**
 * A process that is the sidecar of many pods: each with its own configuration, certificates, pools, counters, limits,
 * log and desks, as if it were alone; they share the event loop, the memory and this process's fate.
 *
 * The process belongs to none of the pods' networks and has none of its own, so that a socket that is made in the wrong
 * moment reaches nothing. It keeps the right to enter namespaces and no other (kernel/privileges.ts). It ends by itself
 * with its last pod.
 *
 * Not here: what it is told, and by which words (control.ts); which pods are put together, and what becomes of them
 * when the process dies (agent/sidecars).
 */

import { chmodSync } from "node:fs";
import type { Log, LogThreshold } from "../../base/log.ts";
import type { ProxyBootstrap, WorkerAssignment } from "../assignment.ts";
import type { ConfigSource } from "../config/source.ts";
import type { SidecarParts } from "../create-sidecar.ts";
import { listen } from "../observe/admin.ts";
import type { PodSockets } from "../pod-sockets.ts";
import { controlServer } from "./control.ts";
import { WorkerPods } from "./pods.ts";

/** What it takes to be where the pods are. */
export interface Visitor {
  /** Leaves the node's network for one that has nothing in it. */
  readonly leaveNetwork: () => void;
  /** Becomes this user, and keeps the right to enter namespaces. */
  readonly becomeVisitor: (uid: number, gid: number) => void;
  /** Who makes the sockets of the namespace at a path; to be asked once the node's network is left. */
  readonly socketsByNetns: () => (path: string) => PodSockets & { close(): void };
  /** A pod's own log, with a threshold of its own; and its access log, which is in the same file. */
  readonly openLog: (path: string) => {
    readonly log: Log;
    readonly threshold: LogThreshold;
    readonly accessLog: (line: string) => void;
  };
}

export interface WorkerParts extends SidecarParts {
  readonly source: (bootstrap: ProxyBootstrap) => ConfigSource;
  readonly descriptorsOf: (pid: number) => (descriptor: number) => number;
  readonly visitor: Visitor;
  readonly giveBack: () => void;
}

/** Whoever asked for the worker has a pod for it; where he is gone, nobody else comes. */
const firstPodWithinMs = 60_000;

/** Resolves when the process may exit. */
export async function serveWorker(
  parts: WorkerParts,
  { uid, name, socket }: WorkerAssignment,
  onReady: () => Promise<void>,
): Promise<void> {
  const { visitor, log } = parts;
  visitor.leaveNetwork();
  const pods = new WorkerPods(name, parts, visitor.socketsByNetns());
  const server = controlServer(pods);
  await listen(server, { path: socket });
  chmodSync(socket, 0o600); // the agent's: what is on it decides about pods of others
  visitor.becomeVisitor(uid, uid);
  process.on("SIGTERM", () => pods.end());
  process.on("SIGINT", () => pods.end());
  await onReady();
  log.info("worker ready", { worker: name });
  const lonely = setTimeout(() => pods.endIfEmpty(), firstPodWithinMs);
  await pods.ended;
  clearTimeout(lonely);
  log.info("worker ends", { worker: name });
  server.close();
  server.closeAllConnections();
}
