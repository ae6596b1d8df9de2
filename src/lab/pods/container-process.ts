/**
 * The process of one container: started in the pod's network namespace, with its own mounts and host name, started
 * again when it ends, stopped gracefully.
 *
 * The namespaces are entered by `nsenter` and `unshare`, which become the container's command: its process id is the
 * child's. Mounts are slaves of the machine's, so that a namespace file that the machine unmounts goes from here too.
 * The name server's file is the only thing that is mounted over; the rest of the file system is the machine's own.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

export interface ContainerSpec {
  readonly netns: string;
  readonly hostname: string;
  readonly resolvConf: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly restart: "Always" | "OnFailure" | "Never";
}

export interface ContainerEvents {
  started(pid: number): void;
  /** `again`: it will be started again. */
  ended(exitCode: number, again: boolean): void;
  failed(message: string): void;
}

// $1 the name server's file, $2 the host name, the rest the command. An unusable command ends with 126 or 127.
const enter =
  'mount --bind "$1" /etc/resolv.conf && printf %s "$2" >/proc/sys/kernel/hostname && shift 2 && exec "$@"';

const firstBackoffMs = 50; // the lab is for trying things: a kubelet would wait ten seconds
const longestBackoffMs = 5_000;
const stableAfterMs = 10_000;

/** Runs the container until `signal` aborts, then stops it within `graceMs`; returns when its process is gone. */
export async function runContainer(
  spec: ContainerSpec,
  events: ContainerEvents,
  graceMs: () => number,
  signal: AbortSignal,
): Promise<void> {
  let backoffMs = firstBackoffMs;
  while (!signal.aborted) {
    const startedAt = performance.now();
    const exitCode = await runOnce(spec, events, graceMs, signal);
    if (signal.aborted) return;
    const again = spec.restart === "Always" || (spec.restart === "OnFailure" && exitCode !== 0);
    events.ended(exitCode, again);
    if (!again) return;
    if (performance.now() - startedAt > stableAfterMs) backoffMs = firstBackoffMs;
    await delay(backoffMs, undefined, { signal }).catch(() => {});
    backoffMs = Math.min(longestBackoffMs, backoffMs * 2);
  }
}

async function runOnce(
  spec: ContainerSpec,
  events: ContainerEvents,
  graceMs: () => number,
  signal: AbortSignal,
): Promise<number> {
  const log = openSync(spec.logFile, "a", 0o644);
  let child: ChildProcess;
  try {
    child = spawn(
      "nsenter",
      [
        `--net=${spec.netns}`,
        "--",
        ...["unshare", "--mount", "--uts", "--propagation", "slave", "--"],
        ...["sh", "-c", enter, "container", spec.resolvConf, spec.hostname],
        ...spec.argv,
      ],
      // A session of its own: the terminal's Ctrl-C is for the lab, and the whole group can be killed.
      { stdio: ["ignore", log, log], env: spec.env, detached: true, cwd: "/" },
    );
  } finally {
    closeSync(log);
  }
  return new Promise((resolve) => {
    let killer: NodeJS.Timeout | undefined;
    const stop = () => {
      child.kill("SIGTERM");
      killer = setTimeout(() => killGroup(child), graceMs());
    };
    child.once("error", (error) => {
      events.failed(error.message);
      resolve(127);
    });
    child.once("spawn", () => {
      if (child.pid !== undefined) events.started(child.pid);
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
    child.once("exit", (code, by) => {
      clearTimeout(killer);
      signal.removeEventListener("abort", stop);
      killGroup(child); // children that the command left behind are the container's, too
      const exitCode = code ?? 128 + (by === "SIGKILL" ? 9 : 15);
      note(
        spec.logFile,
        `container ended with exit code ${exitCode}${by === null ? "" : ` (${by})`}`,
      );
      resolve(exitCode);
    });
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // The group is empty: nobody was left.
  }
}

function note(logFile: string, text: string): void {
  try {
    const log = openSync(logFile, "a");
    writeSync(log, `[lab] ${text}\n`);
    closeSync(log);
  } catch {
    // The lab is going down and has taken its logs along.
  }
}
