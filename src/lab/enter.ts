/**
 * Runs a command inside a pod, on this terminal: in the network, mounts and host name of its first container.
 *
 * The command's own exit code is passed on. It starts in the caller's folder, because a lab's pods see the machine's
 * files, and it has the container's environment.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import type { Pod } from "../api/k8s/core.ts";
import { MeshError } from "../base/error.ts";
import { isAlive, type ProcessId } from "../kernel/process-id.ts";
import type { LabPaths } from "./names.ts";
import { readPodRecords } from "./pods/pod-record.ts";

/** Resolves with the exit code, 128 + n after signal n. */
export async function runInPod(
  paths: LabPaths,
  pod: Pod,
  container: string | undefined,
  argv: readonly string[],
): Promise<number> {
  const child = spawnInPod(paths, pod, container, argv, "inherit");
  // Ctrl-C reaches the command as well, being in the same group; what it makes of it is what we answer.
  const ignore = () => {};
  process.on("SIGINT", ignore);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) =>
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
      );
    });
  } finally {
    process.off("SIGINT", ignore);
  }
}

/** The same command with its output in the caller's hands. */
export function spawnInPod(
  paths: LabPaths,
  pod: Pod,
  container: string | undefined,
  argv: readonly string[],
  output: "inherit" | "pipe",
): ChildProcess {
  const { pid } = containerProcess(paths, pod, container);
  return spawn(
    "nsenter",
    [
      ...["--target", String(pid), "--net", "--mount", "--uts", "--"],
      ...["sh", "-c", 'cd "$0" && exec "$@"', process.cwd(), ...argv],
    ],
    { stdio: ["inherit", output, "inherit"], env: environmentOf(pid) },
  );
}

function containerProcess(paths: LabPaths, pod: Pod, container: string | undefined): ProcessId {
  const { namespace, name, uid } = pod.metadata;
  const record = readPodRecords(paths.pods).find((one) => one.uid === uid);
  const running = record?.containers.filter(({ process }) => isAlive(process)) ?? [];
  const found = running.find((one) => container === undefined || one.name === container);
  if (found !== undefined) return found.process;
  const names = running.map((one) => one.name).join(", ");
  const detail = names === "" ? (pod.status?.message ?? "none is running") : `running: ${names}`;
  throw new MeshError(
    "lab.pod.not-running",
    `pod ${namespace}/${name}: ${container === undefined ? "no container" : `container ${container}`} to run a command in (${detail})`,
    { fault: "user" },
  );
}

function environmentOf(pid: number): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { TERM: process.env["TERM"] };
  for (const entry of readFileSync(`/proc/${pid}/environ`, "utf8").split("\0")) {
    const equals = entry.indexOf("=");
    if (equals > 0) env[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  return env;
}
