/**
 * Gives back memory of this process that it can be without.
 *
 * Half of what a Node process holds in memory is its executable, mapped page by page as it booted and compiled. Those
 * pages are clean copies of the file: dropped from this process they stay in the page cache, which all processes of
 * that program share, and what is needed again comes back at a minor fault for 64 KiB each. So this saves little memory
 * of the machine and much of what is counted as this process's. Only mappings that were never written are dropped: in
 * another, relocated addresses would be lost. What the kernel has swapped out was written, though no page in memory
 * says so.
 *
 * What V8's compilers and collectors have freed on their threads the C library keeps: a heap for each thread, of which
 * it returns nothing by itself but the end. That is memory of the machine, 8 MB of 45 in a busy sidecar.
 */

import { readFileSync } from "node:fs";
import { libc, SystemCallError } from "./ffi.ts";

const MADV_DONTNEED = 4;

/**
 * A function that does so, as often as it is called; it takes a millisecond or a few. Made while the process may still
 * read its own maps: not after it has changed its user.
 */
export function spareMemoryGiver(): () => void {
  const mappings = unwrittenMappings(readFileSync("/proc/self/smaps", "latin1"), process.execPath);
  return () => {
    libc().trimHeaps();
    for (const { start, bytes } of mappings) {
      try {
        libc().madvise(start, bytes, MADV_DONTNEED);
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
        return; // pages that are locked into memory stay there
      }
    }
  };
}

export interface Mapping {
  /** Address; below 2^47 everywhere that Node runs. */
  readonly start: number;
  readonly bytes: number;
}

/**
 * The mappings of `file` in the text of a `smaps` that may be read or executed, and have no page of their own, in memory
 * or swapped out.
 */
export function unwrittenMappings(smaps: string, file: string): Mapping[] {
  const found: Mapping[] = [];
  for (const entry of smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+\s+(.*)$/m.exec(entry);
    if (head === null || head[3] !== file) continue;
    const written = ["Private_Dirty", "Anonymous", "Swap"];
    if (!written.every((field) => new RegExp(`^${field}:\\s+0 kB$`, "m").test(entry))) continue;
    const start = Number.parseInt(head[1] ?? "", 16);
    found.push({ start, bytes: Number.parseInt(head[2] ?? "", 16) - start });
  }
  return found;
}
