/**
 * What tells a place in the kernel from a later one of the same name: the boot, a namespace's inode, a process's start.
 *
 * Records on disk carry these, so that after a reboot, or after a number was used again, nothing is mistaken for what
 * it once was.
 */

import { readFileSync, statSync } from "node:fs";

/** New with every start of the kernel. */
export function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Inode of the network namespace at `path`; undefined where there is none. */
export function netnsInode(path: string): number | undefined {
  if (path === "") return undefined;
  const stat = statSync(path, { throwIfNoEntry: false });
  // A mount point whose namespace is not mounted is an ordinary file on another device; the caller compares inodes.
  return stat?.ino;
}

/** Inode of this process's own network namespace. */
export function ownNetnsInode(): number {
  return statSync("/proc/self/ns/net").ino;
}

/** A process, told from a later one with the same number by the clock tick of its start. */
export interface ProcessId {
  readonly pid: number;
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

/** Sends a signal to this very process; one that is gone already is success. */
export function signalProcess(target: ProcessId, signal: NodeJS.Signals): void {
  if (!isAlive(target)) return;
  try {
    process.kill(target.pid, signal);
  } catch {
    // It ended between the two lines.
  }
}
