/** Keeps a log file small: what it said last is what is asked for, and a node's disk must not fill. */

import { statSync, truncateSync } from "node:fs";
import { renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";

const maxLogBytes = 4 * 1024 * 1024;

/** Empties the file where it is too large. Logs where that cannot be, as on a disk that has become read-only. */
export function limitLog(path: string, log: Log): void {
  try {
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size > maxLogBytes) truncateSync(path);
  } catch (error) {
    log.warn("log file is not limited", { path, error: renderError(error) });
  }
}
