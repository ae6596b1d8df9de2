/** What memory a process holds, as the kernel counts it. */

import { readFileSync } from "node:fs";
import { round } from "./figures.ts";

export interface Memory {
  readonly residentMb: number;
  /** Its proportional share: what it has in common with other processes is divided among them. */
  readonly shareMb: number;
}

export function memoryOf(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(rollup)?.[1]);
  return { residentMb: round((kb("Rss") * 1024) / 1e6), shareMb: round((kb("Pss") * 1024) / 1e6) };
}
