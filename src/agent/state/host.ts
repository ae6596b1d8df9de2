/**
 * What tells a place in the kernel from a later one of the same name: the boot, a namespace's inode and cookie, a
 * process's start.
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
