/**
 * How a spare becomes somebody's sidecar, whether one pod's or that of many: one way, and nothing left of a failed try.
 */

import type { ProcessId } from "../../kernel/process-id.ts";
import { type Assignment, assign, type WorkerAssignment } from "./assignment.ts";
import type { Spare, SparePool } from "./spare-pool.ts";

export interface Job {
  /** Where it logs from now on. */
  readonly logFile: string;
  /** What it is told, once it is known which process it is. */
  readonly assignmentOf: (process: ProcessId) => Assignment | WorkerAssignment;
}

/** Resolves when the spare is ready for what it was told; throws, with its process ended, where it cannot be. */
export async function hireSpare(
  pool: SparePool,
  { logFile, assignmentOf }: Job,
  signal: AbortSignal,
): Promise<Spare> {
  const spare = pool.take();
  try {
    spare.moveLog(logFile);
    await assign(spare.channel, assignmentOf(spare.process), signal);
    return spare;
  } catch (error) {
    spare.kill();
    await spare.ended;
    throw error;
  } finally {
    pool.refill();
  }
}
