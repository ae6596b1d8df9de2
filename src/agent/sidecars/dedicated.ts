/** Sidecars as processes of their own: a spare gets the pod, and is the pod's alone until it ends. */

import type { Clock } from "../../base/clock.ts";
import { type ProcessId, signalProcess } from "../../kernel/process-id.ts";
import { proxyUid } from "../../model/names.ts";
import { adoptProcess, endProcess, type RunningProcess } from "../running-process.ts";
import { hireSpare } from "./hire-spare.ts";
import type { PodToServe, Serving, SidecarHost } from "./host.ts";
import type { Liveness } from "./liveness.ts";
import type { SparePool } from "./spare-pool.ts";

export function dedicatedProcesses(pool: SparePool, clock: Clock, liveness: Liveness): SidecarHost {
  const serving = (running: RunningProcess, socketPath: string): Serving => {
    const unwatch = liveness.watch(running.process, { socketPath, path: "/ready" });
    return {
      ...running,
      retire() {
        unwatch(); // its successor has the socket
        signalProcess(running.process, "SIGUSR2");
      },
      end: (drainMs) => endProcess(running, drainMs, clock),
    };
  };
  return {
    async launch(pod: PodToServe, signal, predecessor) {
      const over = predecessor === undefined ? {} : { predecessor };
      const assignmentOf = (process: ProcessId) => {
        pod.remember({ process });
        return { ...pod.assignment, uid: proxyUid, ...over };
      };
      const spare = await hireSpare(pool, { logFile: pod.logFile, assignmentOf }, signal);
      return serving({ process: spare.process, ended: spare.ended }, pod.adminSocket);
    },

    async adopt(pod, { process }, signal) {
      const running = adoptProcess(process, pod.adminSocket, clock, signal);
      return running === undefined ? undefined : serving(running, pod.adminSocket);
    },
  };
}
