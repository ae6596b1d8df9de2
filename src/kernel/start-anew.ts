/** Starts this process's program again in its place. */

import { libc } from "./ffi.ts";

/**
 * The process keeps its number, parent, limits, priority, standard streams and `descriptors`; all else of it is gone. Returns
 * only where the system refuses, and the process goes on as it was. `environment` is added to its own.
 */
export function startAnew(
  descriptors: readonly number[],
  environment: Readonly<Record<string, string>>,
): void {
  const words = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  try {
    for (const descriptor of descriptors) libc().keepOnExec(descriptor);
    process.execve?.(process.execPath, words, { ...process.env, ...environment });
  } catch {
    for (const descriptor of descriptors) libc().closeOnExec(descriptor);
  }
}
