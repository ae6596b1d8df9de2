/** Sidecars as processes of their own: a spare gets the pod, and is the pod's alone until it ends. */

import type { Clock } from "../../base/clock.ts";
import { signalProcess } from "../../kernel/process-id.ts";
import { proxyUid } from "../../model/names.ts";
import { adoptProcess, endProcess, type RunningProcess } from "../running-process.ts";
import { assign } from "./assignment.ts";
import type { PodToServe, Serving, SidecarHost } from "./host.ts";
import type { SparePool } from "./spare-pool.ts";

export function dedicatedProcesses(pool: SparePool, clock: Clock): SidecarHost {
  const serving = (running: RunningProcess): Serving => ({
    ...running,
    retire: () => void signalProcess(running.process, "SIGUSR2"),
    end: (drainMs) => endProcess(running, drainMs, clock),
  });
  return {
    async launch(pod: PodToServe, signal, predecessor) {
      const spare = pool.take();
      try {
        spare.moveLog(pod.logFile);
        pod.remember({ process: spare.process });
        const over = predecessor === undefined ? {} : { predecessor };
        await assign(spare.channel, { ...pod.assignment, uid: proxyUid, ...over }, signal);
      } catch (error) {
        spare.kill();
        await spare.ended;
        throw error;
      } finally {
        pool.refill();
      }
      return serving({ process: spare.process, ended: spare.ended });
    },

    async adopt(pod, { process }, signal) {
      const running = adoptProcess(process, pod.adminSocket, clock, signal);
      return running === undefined ? undefined : serving(running);
    },
  };
}
