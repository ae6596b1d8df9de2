/**
 * Looks at this machine's processes through /proc: who is alive, and who lives in a network namespace of ours.
 *
 * A process is named by its id *and* its start time, because ids are used again. Nothing is found by its name or
 * command line: only by what it is (its start) or where it is (its namespace).
 */

import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

export interface ProcessId {
  readonly pid: number;
  /** Clock ticks since boot, from /proc/<pid>/stat. */
  readonly startTime: string;
}

/** The identity of a running process; undefined when there is none of that id (a zombie counts as none). */
export function processOf(pid: number): ProcessId | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The command name is in parentheses and may contain anything, so count fields from behind it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const startTime = fields[19];
  return fields[0] === "Z" || startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive(process: ProcessId): boolean {
  return processOf(process.pid)?.startTime === process.startTime;
}

/** Sends a signal to exactly this process; false when it is gone. */
export function signalProcess(target: ProcessId, signal: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    process.kill(target.pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Every process whose network namespace is one of `netnsFiles`. */
export function processesIn(netnsFiles: readonly string[]): ProcessId[] {
  const inodes = new Set<number>();
  for (const file of netnsFiles) {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat !== undefined) inodes.add(stat.ino);
  }
  if (inodes.size === 0) return [];
  const found: ProcessId[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const inode = netnsInodeOf(pid);
    if (inode === undefined || !inodes.has(inode)) continue;
    const id = processOf(pid);
    if (id !== undefined) found.push(id);
  }
  return found;
}

function netnsInodeOf(pid: number): number | undefined {
  try {
    return Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[0]);
  } catch {
    return undefined;
  }
}
