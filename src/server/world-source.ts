/**
 * Where the server's parts get the world from: the one holder of the current picture, and the news that it changed.
 *
 * Readers always compile the newest world; how many changes led to it is nobody's business. That is why `changes`
 * coalesces: a slow reader skips worlds, it never queues them.
 */

import type { World } from "../core/registry/world.ts";

export interface WorldSource {
  current(): World;
  /** Every world from the next change on, newest only: what comes while the reader is busy replaces what waits. */
  changes(signal: AbortSignal): AsyncIterable<World>;
}
