/** Child processes of a bench: pinned to a core, found again by their CPU time, ended with the bench. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";

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

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
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

/** A port of loopback that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        resolve(typeof address === "object" && address !== null ? address.port : 0),
      );
    });
  });
}

/** Waits until somebody takes connections on a port of loopback. */
export async function untilAccepts(port: number, name: string): Promise<void> {
  for (let tries = 0; !(await accepts(port)); tries++) {
    if (tries > 1_200) throw new Error(`${name} does not listen on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Debian's package of each command that a bench needs. */
const packages: Readonly<Record<string, string>> = {
  wrk: "wrk",
  haproxy: "haproxy",
  taskset: "util-linux",
  h2load: "nghttp2-client",
};

export function requireCommands(bench: string, commands: readonly string[]): void {
  const missing = commands.filter((command) => {
    try {
      execFileSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" });
      return false;
    } catch {
      return true;
    }
  });
  if (missing.length === 0) return;
  const wanted = missing.map((command) => packages[command] ?? command).join(" ");
  throw new Error(`bench ${bench}: missing Debian packages: ${wanted}`);
}
