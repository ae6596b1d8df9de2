/**
 * Takes away everything that a lab has on this machine, whatever state it is in: how a lab goes down, and how the
 * leftovers of a crashed one are cleared before the next.
 *
 * It needs the lab's name only. Processes are found by living in one of the lab's namespaces; mounts end with the
 * processes that held them, and links, routes and tables with the namespaces that they are in. Absent is success.
 */

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../base/error.ts";
import { signalProcess } from "../kernel/process-id.ts";
import { runCommand } from "./command.ts";
import { isNetnsOf, type LabPaths, netnsFolder } from "./names.ts";
import { processesIn } from "./processes.ts";

/** What was found and removed; all empty when there was nothing. */
export interface Swept {
  readonly processes: number;
  readonly namespaces: readonly string[];
}

/** Kills, unmounts and deletes; `keepLogs` for whoever wants to know why the lab did not come up. */
export async function sweepLab(paths: LabPaths, keepLogs = false): Promise<Swept> {
  const namespaces = namespacesOf(paths.name);
  const processes = await killAllIn(namespaces.map((name) => join(netnsFolder, name)));
  for (const name of namespaces) {
    const result = await runCommand(["ip", "netns", "delete", name]);
    if (result.code !== 0 && namespacesOf(paths.name).includes(name)) {
      throw new MeshError("lab.sweep", `delete namespace ${name}: ${result.stderr.trim()}`, {
        fault: "host",
      });
    }
  }
  await unmountNetnsFolder(paths);
  removeData(paths, keepLogs);
  return { processes, namespaces };
}

export function namespacesOf(lab: string): string[] {
  return list(netnsFolder).filter((name) => isNetnsOf(lab, name));
}

/** Names of all labs that have a namespace on this machine or a folder below `base`. */
export function labNamesIn(base: string): string[] {
  return list(base).sort();
}

async function killAllIn(files: readonly string[]): Promise<number> {
  const killed = new Set<number>();
  // A process may fork between being found and being killed: look until nobody is left.
  for (let round = 0; round < 200; round++) {
    const found = processesIn(files).filter(({ pid }) => pid !== process.pid);
    if (found.length === 0) return killed.size;
    for (const one of found) {
      killed.add(one.pid);
      signalProcess(one, "SIGKILL");
    }
    // A killed process needs a moment to be gone; it has no event for those who are not its parent.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new MeshError("lab.sweep", "processes of the lab outlive SIGKILL", { fault: "host" });
}

/**
 * `ip netns` mounts its folder on itself when it first makes a namespace. A lab that found it without that mount notes
 * so, and takes the mount away with the last namespace.
 */
export function noteNetnsFolder(paths: LabPaths): void {
  if (!isMounted(netnsFolder)) writeFileSync(netnsNote(paths), "");
}

async function unmountNetnsFolder(paths: LabPaths): Promise<void> {
  if (!existsSync(netnsNote(paths)) || list(netnsFolder).length > 0 || !isMounted(netnsFolder))
    return;
  // Refused while somebody uses it by now, which is as well.
  await runCommand(["umount", netnsFolder]);
}

const netnsNote = (paths: LabPaths): string => join(paths.root, "netns-unmounted");

function isMounted(folder: string): boolean {
  return readFileSync("/proc/self/mounts", "utf8").includes(` ${folder} `);
}

function removeData(paths: LabPaths, keepLogs: boolean): void {
  for (const entry of list(paths.root)) {
    const path = join(paths.root, entry);
    if (!keepLogs || path !== paths.logs) rmSync(path, { recursive: true, force: true });
  }
  if (list(paths.root).length === 0) rmSync(paths.root, { recursive: true, force: true });
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
