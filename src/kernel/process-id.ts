/**
 * Which process a number means: process numbers are used again, and nobody may be ended, or taken for alive, who only
 * has the number of somebody else.
 */

import { readFileSync } from "node:fs";

/** A process, told from a later one with the same number by its start. */
export interface ProcessId {
  readonly pid: number;
  /** Clock ticks since boot, from /proc/<pid>/stat. */
  readonly startTime: string;
}

/** The process with this number, if it is alive; one that only waits to be reaped is dead. */
export function findProcess(pid: number): ProcessId | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The second field is the command in parentheses and may contain both blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, startTime] = [fields[0], fields[19]];
  if (startTime === undefined || state === "Z" || state === "X") return undefined;
  return { pid, startTime };
}

export function isAlive(process: ProcessId): boolean {
  return findProcess(process.pid)?.startTime === process.startTime;
}

/** Sends a signal to exactly this process; false when it is gone. */
export function signalProcess(target: ProcessId, signal: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    process.kill(target.pid, signal);
    return true;
  } catch {
    return false; // it ended between the two lines
  }
}
