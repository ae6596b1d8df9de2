/**
 * Looks at this machine's processes through /proc: who is alive, and who lives in a network namespace of ours.
 *
 * A process is named by its id *and* its start time, because ids are used again. Nothing is found by its name or
 * command line: only by what it is (its start) or where it is (its namespace).
 */

import { readdirSync, readlinkSync, statSync } from "node:fs";
import { findProcess, type ProcessId } from "../kernel/process-id.ts";

/**
 * Every process whose network namespace is one of `netnsFiles`, or some thread's of it is: the main thread of a shared
 * worker has left the host's, and its others have not.
 */
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
    if (!netnsInodesOf(pid).some((inode) => inodes.has(inode))) continue;
    const id = findProcess(pid);
    if (id !== undefined) found.push(id);
  }
  return found;
}

function netnsInodesOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) =>
      Number(/\d+/.exec(readlinkSync(`/proc/${pid}/task/${thread}/ns/net`))?.[0]),
    );
  } catch {
    return []; // it ended meanwhile
  }
}
