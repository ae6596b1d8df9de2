/** Kernel settings below /proc/sys. Those below `net` belong to the calling thread's network namespace. */

import { readFileSync, writeFileSync } from "node:fs";
import { MeshError } from "../base/error.ts";
import type { Sysctl } from "../model/node-state.ts";

/** Writes a setting; `net/ipv4/ip_forward` and `net.ipv4.ip_forward` name the same. */
export function writeSysctl(sysctl: Sysctl): void {
  try {
    writeFileSync(pathOf(sysctl.key), sysctl.value);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    throw new MeshError(
      code === "ENOENT" ? "kernel.sysctl.absent" : "kernel.sysctl.refused",
      `set ${sysctl.key} to ${sysctl.value}`,
      { cause, fault: "host" },
    );
  }
}

/** Undefined where there is no such setting (any more). */
export function readSysctl(key: string): string | undefined {
  try {
    return readFileSync(pathOf(key), "latin1").trim();
  } catch {
    return undefined;
  }
}

function pathOf(key: string): string {
  return `/proc/sys/${key.includes("/") ? key : key.replaceAll(".", "/")}`;
}
