/**
 * A sidecar process that has its pod: how it ends, and how to end it.
 *
 * Its parent may be this agent, which hears of the end at once, or an agent that is gone; then an open connection to
 * its admin socket stands in for the parent's knowledge, because the kernel closes it with the process.
 */

import { connect } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { isAlive, type ProcessId, signalProcess } from "../../kernel/process-id.ts";

export interface RunningSidecar {
  readonly process: ProcessId;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
}

/** How long a closed or refused connection may stay so before the process is looked at again. */
const reconnectMs = 200;

/** Watches a process that another agent started; undefined where it is not alive. */
export function adoptSidecar(
  process: ProcessId,
  adminSocket: string,
  clock: Clock,
  signal: AbortSignal,
): RunningSidecar | undefined {
  if (!isAlive(process)) return undefined;
  return { process, ended: watch(process, adminSocket, clock, signal) };
}

async function watch(
  process: ProcessId,
  adminSocket: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (isAlive(process) && !signal.aborted) {
    await connectionEnd(adminSocket, signal);
    // Between the close of its sockets and the end of the process lies a moment; an idle connection that the
    // sidecar closed for its age looks the same.
    for (let i = 0; i < 10 && isAlive(process) && !signal.aborted; i++) {
      await clock.sleep(reconnectMs / 10, signal).catch(() => undefined);
    }
  }
}

function connectionEnd(path: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ path, signal } as { path: string });
    socket.on("error", () => undefined);
    socket.once("close", () => resolve());
    socket.resume();
    socket.unref();
  });
}

/** Ends a sidecar: asks it to drain, and after `drainMs` no longer asks. Resolves when it has ended. */
export async function endSidecar(
  sidecar: RunningSidecar,
  drainMs: number,
  clock: Clock,
): Promise<void> {
  signalProcess(sidecar.process, "SIGTERM");
  const timer = new AbortController();
  const late = clock.sleep(drainMs, timer.signal).then(
    () => true,
    () => false,
  );
  if (await Promise.race([late, sidecar.ended.then(() => false)])) {
    signalProcess(sidecar.process, "SIGKILL");
    await sidecar.ended;
  }
  timer.abort();
}
