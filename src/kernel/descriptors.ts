/** Descriptors of other processes, made ours (`pidfd_getfd`, Linux 5.6): both then mean the same socket or file. */

import { closeSync } from "node:fs";
import { libc } from "./ffi.ts";

/** Takes a right over the process that root has. Throws SystemCallError where it or the descriptor is not there. */
export function descriptorsOf(pid: number): (descriptor: number) => number {
  return (descriptor) => {
    const process = libc().pidfdOpen(pid);
    try {
      return libc().pidfdGetfd(process, descriptor);
    } finally {
      closeSync(process);
    }
  };
}
