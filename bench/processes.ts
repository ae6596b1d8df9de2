/** Child processes of a bench: pinned to a core, found again by their CPU time, ended with the bench. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";

export interface Pinned {
  readonly process: ChildProcess;
  readonly name: string;
  /** The first line it printed. */
  readonly firstLine: string;
}

export class Processes implements AsyncDisposable {
  readonly #children: ChildProcess[] = [];

  /** Starts a command on one core. `waitsForLine`: until it has printed one. */
  async start(
    name: string,
    core: number,
    command: readonly string[],
    waitsForLine: boolean,
  ): Promise<Pinned> {
    const child = spawn("taskset", ["-c", String(core), ...command], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#children.push(child);
    const firstLine = waitsForLine ? await lineOf(child, name) : "";
    return { process: child, name, firstLine };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = this.#children
      .filter((child) => child.exitCode === null && child.signalCode === null)
      .map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of this.#children) child.kill("SIGTERM");
    await Promise.all(ended);
  }
}

/** User and system time of a process so far, in microseconds. */
export function cpuMicroseconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / ticksPerSecond();
}

let ticks: number | undefined;

function ticksPerSecond(): number {
  ticks ??= Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  return ticks;
}

function lineOf(child: ChildProcess, name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.setEncoding("utf8");
    child.stdout?.on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end >= 0) resolve(text.slice(0, end));
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${name} ended with ${code} before it was up`)));
  });
}
