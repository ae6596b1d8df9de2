/**
 * Sidecar processes that have booted and wait for a pod, so that a pod need not wait for a process to boot.
 *
 * A spare is started with low priority, so that refilling never slows the ADD that caused it, and gets normal priority
 * with its pod. It is a process of its own session: it outlives the agent once it has a pod, and ends by itself when
 * the agent ends before (its descriptor 3 closes). When more pods come than there are spares, processes are started
 * for them at once: the same path, with the boot in it.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, rmSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { MeshError, present, renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { findProcess, type ProcessId } from "../../kernel/process-id.ts";

export interface Spare {
  readonly process: ProcessId;
  /** Descriptor 3. */
  readonly channel: Duplex;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  /** Standard output and error go on to this file from now on. */
  moveLog(path: string): void;
  kill(): void;
}

export interface SparePoolOptions {
  readonly command: readonly string[];
  readonly size: number;
  /** Where spares log until they have a pod. */
  readonly directory: string;
  readonly log: Log;
}

/** A spare that dies this young was not killed by chance: wait before the next. */
const youngMs = 1_000;
const crashPauseMs = 5_000;

export class SparePool {
  readonly #options: SparePoolOptions;
  readonly #idle: Spare[] = [];
  #count = 0;
  #closed = false;
  #pause: NodeJS.Timeout | undefined;

  constructor(options: SparePoolOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true });
    for (const file of readdirSync(options.directory)) rmSync(join(options.directory, file));
  }

  /** A process for a pod: a spare, or a new one where none is left. The caller owns it. */
  take(): Spare {
    const spare = this.#idle.shift() ?? this.#spawn();
    setPriorityOfAllThreads(spare.process.pid, constants.priority.PRIORITY_NORMAL);
    return spare;
  }

  /** Starts what is missing, or later where that cannot be. Called when nothing more urgent is going on. */
  refill(): void {
    while (!this.#closed && this.#pause === undefined && this.#idle.length < this.#options.size) {
      const spare = this.#trySpawn();
      if (spare === undefined) {
        this.#waitAfterCrash();
        return;
      }
      setPriorityOfAllThreads(spare.process.pid, constants.priority.PRIORITY_LOW);
      this.#idle.push(spare);
      const born = Date.now();
      void spare.ended.then(() => {
        const at = this.#idle.indexOf(spare);
        if (at < 0) return; // it has a pod
        this.#idle.splice(at, 1);
        this.#options.log.warn("spare sidecar ended", { pid: spare.process.pid });
        if (Date.now() - born < youngMs) this.#waitAfterCrash();
        else this.refill();
      });
    }
  }

  get idle(): number {
    return this.#idle.length;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#pause);
    for (const spare of this.#idle.splice(0)) spare.kill();
  }

  #waitAfterCrash(): void {
    if (this.#closed || this.#pause !== undefined) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.refill();
    }, crashPauseMs).unref();
  }

  /** A machine that has no process left has not yet failed the pods that are served. */
  #trySpawn(): Spare | undefined {
    try {
      return this.#spawn();
    } catch (error) {
      this.#options.log.warn("spare sidecar is not started", { error: renderError(error) });
      return undefined;
    }
  }

  #spawn(): Spare {
    const [file, ...args] = this.#options.command;
    const logPath = join(this.#options.directory, `${++this.#count}.log`);
    const logFile = openSync(logPath, "a", 0o600);
    let child: ChildProcess;
    try {
      child = spawn(present(file, "sidecar command"), args, {
        detached: true,
        cwd: "/",
        stdio: ["ignore", logFile, logFile, "pipe"],
      });
    } finally {
      closeSync(logFile);
    }
    const channel = child.stdio[3] as Duplex; // "pipe" makes it a socket pair
    channel.on("error", () => undefined); // its end is seen through `ended`
    const ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.on("error", () => resolve()); // a signal that could not be sent is one as well
    });
    const process = child.pid === undefined ? undefined : findProcess(child.pid);
    if (process === undefined) {
      throw new MeshError("agent.sidecar.spawn", `start ${this.#options.command.join(" ")}`, {
        fault: "host",
        retryable: true,
      });
    }
    child.unref();
    let path = logPath;
    void ended.then(() => removeQuietly(logPath));
    return {
      process,
      channel,
      ended,
      moveLog: (to) => {
        renameSync(path, to);
        path = to;
      },
      kill: () => void child.kill("SIGKILL"),
    };
  }
}

/** A file that stays, as on a disk that has become read-only, is the next agent's to remove. */
export function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Nothing depends on it.
  }
}

/** `setpriority` is per thread on Linux, and threads inherit what their creator had. */
function setPriorityOfAllThreads(pid: number, priority: number): void {
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), priority);
  } catch {
    // It ended, or this agent may not: priority is a courtesy.
  }
}
