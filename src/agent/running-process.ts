/**
 * A process that outlives agents (a sidecar, the node's name server): how it ends, and how to end it.
 *
 * Its parent may be this agent, which hears of the end at once, or an agent that is gone; then an open connection to
 * a socket that it listens on stands in for the parent's knowledge, because the kernel closes it with the process.
 */

import { connect } from "node:net";
import type { Clock } from "../base/clock.ts";
import { isAlive, type ProcessId, signalProcess } from "../kernel/process-id.ts";

export interface RunningProcess {
  readonly process: ProcessId;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
}

/** How long a closed or refused connection may stay so before the process is looked at again. */
const reconnectMs = 200;

/** Watches a process that another agent started; undefined where it is not alive. */
export function adoptProcess(
  process: ProcessId,
  socket: string,
  clock: Clock,
  signal: AbortSignal,
): RunningProcess | undefined {
  if (!isAlive(process)) return undefined;
  return { process, ended: watch(process, socket, clock, signal) };
}

async function watch(
  process: ProcessId,
  socket: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (isAlive(process) && !signal.aborted) {
    await connectionEnd(socket, signal);
    // Between the close of its sockets and the end of the process lies a moment; an idle connection that it closed
    // for its age looks the same.
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

/** Ends a process: asks it to drain, and after `drainMs` no longer asks. Resolves when it has ended. */
export async function endProcess(
  running: RunningProcess,
  drainMs: number,
  clock: Clock,
): Promise<void> {
  signalProcess(running.process, "SIGTERM");
  const timer = new AbortController();
  const late = clock.sleep(drainMs, timer.signal).then(
    () => true,
    () => false,
  );
  if (await Promise.race([late, running.ended.then(() => false)])) {
    signalProcess(running.process, "SIGKILL");
    await running.ended;
  }
  timer.abort();
}
