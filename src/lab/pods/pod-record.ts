/**
 * What the runtime writes down of each running pod, so that commands in other processes find its namespaces:
 * `lab exec` and `lab curl` enter them, `lab status` knows the sidecar's folder.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessId } from "../../kernel/process-id.ts";

export interface PodRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly containerId: string;
  /** Path of the network namespace. */
  readonly netns: string;
  /** Those that run at the moment. */
  readonly containers: readonly { readonly name: string; readonly process: ProcessId }[];
}

export function readPodRecords(folder: string): PodRecord[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => {
      try {
        return [JSON.parse(readFileSync(join(folder, name), "utf8")) as PodRecord];
      } catch {
        return []; // gone, or being written at this moment
      }
    });
}
