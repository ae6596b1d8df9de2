/**
 * What a lab's things are called: its network namespaces and its files. From the name of a lab all of it follows, so
 * that what a crashed lab left behind is found by name alone.
 *
 * The name of a lab may not contain the words that tell its namespaces apart; else the leftovers of lab `a` and of a
 * lab `a-node-1` could not be told from each other.
 */

import { join } from "node:path";
import { MeshError } from "../base/error.ts";

export interface LabPaths {
  readonly name: string;
  /** Everything of the lab is below it. */
  readonly root: string;
  /** The supervisor listens here for as long as the lab is up. */
  readonly control: string;
  readonly serverData: string;
  readonly adminSocket: string;
  readonly dashboardSocket: string;
  readonly adminToken: string;
  readonly logs: string;
  /** One file for each running pod. */
  readonly pods: string;
}

/** Folders of the host `node-<index>`. Short names: the paths of unix sockets end after 107 bytes. */
export interface HostPaths {
  readonly bootstrap: string;
  readonly run: string;
  readonly state: string;
  readonly cniSocket: string;
}

const namePattern = /^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$/;
const ownWords = /(^|-)(pod|node|control|underlay|test)(-|$)/;
const longestSocketPath = 107;

/** The paths of a lab; throws `lab.name.invalid` or `lab.path.long`. */
export function labPaths(name: string, base: string): LabPaths {
  if (!namePattern.test(name) || ownWords.test(name)) {
    throw new MeshError(
      "lab.name.invalid",
      `lab name "${name}": want at most 24 lower-case letters, digits and inner hyphens, without the words pod, node, control, underlay and test`,
      { fault: "user" },
    );
  }
  const root = join(base, name);
  const longest = join(root, "n999", "run", "pods", "0".repeat(16), "admin.sock");
  if (Buffer.byteLength(longest) > longestSocketPath) {
    throw new MeshError(
      "lab.path.long",
      `data folder ${root}: ${Buffer.byteLength(longest) - longestSocketPath} bytes too long for the unix sockets below it; set HEDDLE_LAB_DIR to a shorter one`,
      { fault: "user" },
    );
  }
  return {
    name,
    root,
    control: join(root, "lab.sock"),
    serverData: join(root, "server"),
    adminSocket: join(root, "server", "admin.sock"),
    dashboardSocket: join(root, "server", "dashboard.sock"),
    adminToken: join(root, "server", "admin-token"),
    logs: join(root, "logs"),
    pods: join(root, "pods"),
  };
}

export function hostPaths(lab: LabPaths, index: number): HostPaths {
  const folder = join(lab.root, `n${index}`);
  return {
    bootstrap: join(folder, "bootstrap.json"),
    run: join(folder, "run"),
    state: join(folder, "state"),
    cniSocket: join(folder, "run", "cni.sock"),
  };
}

/** Where labs keep their data, unless HEDDLE_LAB_DIR says otherwise. */
export const defaultLabBase = "/var/lib/heddle/lab";
export const defaultLabName = "lab";

/** Name of the host, of its Node object and of its agent. */
export function hostName(index: number): string {
  return `node-${index}`;
}

/** Where `ip netns` keeps namespaces. */
export const netnsFolder = "/run/netns";

export function underlayNetns(lab: string): string {
  return `heddle-${lab}-underlay`;
}

export function controlNetns(lab: string): string {
  return `heddle-${lab}-control`;
}

export function hostNetns(lab: string, index: number): string {
  return `heddle-${lab}-${hostName(index)}`;
}

/** A pod's namespace carries its name, so that `ip netns` reads well; the id keeps pods of one name apart. */
export function podNetns(lab: string, namespace: string, pod: string, id: string): string {
  return `heddle-${lab}-pod-${namespace}.${pod}`.slice(0, 200).concat(`.${id.slice(0, 5)}`);
}

/** True for the names that the functions above make for this lab, and for no other lab's. */
export function isNetnsOf(lab: string, netns: string): boolean {
  const prefix = `heddle-${lab}-`;
  if (!netns.startsWith(prefix)) return false;
  return /^(underlay|control|node-\d+|pod-[^.]+\..+)$/.test(netns.slice(prefix.length));
}
