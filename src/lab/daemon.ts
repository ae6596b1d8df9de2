/**
 * A production process of the lab (server, agent) on one of its hosts, started again whenever it ends.
 *
 * The first restart is at once: a process that was killed is back before anybody has waited. One that keeps dying is
 * started less and less often. Its output goes to a file of its own.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "../base/log.ts";
import { netnsFile } from "./underlay.ts";

export interface DaemonSpec {
  /** For logs: `server`, `agent node-1`. */
  readonly name: string;
  /** Name of the network namespace of its host. */
  readonly netns: string;
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
}

const firstBackoffMs = 200;
const longestBackoffMs = 5_000;
const stableAfterMs = 10_000;

export class Daemon {
  readonly #spec: DaemonSpec;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #child: ChildProcess | undefined;
  #restarts = 0;

  constructor(spec: DaemonSpec, log: Log) {
    this.#spec = spec;
    this.#log = log.with({ process: spec.name });
    this.#done = this.#keep();
  }

  /** The running process, if there is one at this moment. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** SIGTERM, and SIGKILL after `graceMs`; resolves when the process is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stop.abort();
    this.#child?.kill("SIGTERM");
    const killer = setTimeout(() => this.#child?.kill("SIGKILL"), graceMs);
    await this.#done;
    clearTimeout(killer);
  }

  async #keep(): Promise<void> {
    const signal = this.#stop.signal;
    let backoffMs = 0;
    while (!signal.aborted) {
      const startedAt = performance.now();
      const how = await this.#runOnce();
      if (signal.aborted) return;
      this.#restarts++;
      this.#log.warn("process ended, starting it again", { how });
      if (performance.now() - startedAt > stableAfterMs) backoffMs = 0;
      await delay(backoffMs, undefined, { signal }).catch(() => {});
      backoffMs = Math.min(longestBackoffMs, Math.max(firstBackoffMs, backoffMs * 2));
    }
  }

  #runOnce(): Promise<string> {
    const output = openSync(this.#spec.logFile, "a", 0o644);
    const child = spawn(
      "nsenter",
      [`--net=${netnsFile(this.#spec.netns)}`, "--", ...this.#spec.argv],
      // A session of its own: the terminal's Ctrl-C is for the lab, which then stops what it started in order.
      { stdio: ["ignore", output, output], env: this.#spec.env, detached: true },
    );
    closeSync(output);
    this.#child = child;
    this.#log.info("process started", { pid: child.pid });
    return new Promise((resolve) => {
      const end = (how: string) => {
        this.#child = undefined;
        resolve(how);
      };
      child.once("error", (error) => end(error.message));
      child.once("exit", (code, by) => end(by === null ? `exit code ${code}` : by));
    });
  }
}
