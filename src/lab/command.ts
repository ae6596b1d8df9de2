/**
 * Runs a short-lived command of the machine (`ip`, `umount` …) to its end.
 *
 * Making namespaces and the underlay is a handful of calls per lab; a spawned tool is fast enough there. What happens
 * per packet or per pod in the agents goes through netlink instead.
 */

import { spawn } from "node:child_process";
import { MeshError } from "../base/error.ts";

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** Runs a command and answers how it ended; rejects only where it could not be started. */
export function runCommand(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const [file = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ["pipe", "pipe", "pipe"],
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    // A command that does not read its input closes the pipe early; its exit code tells what matters.
    child.stdin.on("error", () => {});
    child.stdin.end(options.input ?? "");
    child.once("error", (cause) =>
      reject(new MeshError("lab.command.start", `run ${file}`, { cause, fault: "host" })),
    );
    child.once("close", (code, signal) =>
      resolve({
        code: code ?? (signal === null ? 1 : 128),
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      }),
    );
  });
}

/** Runs a command that must succeed; throws `lab.command.refused` with what it said. */
export async function mustRun(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await runCommand(argv, options);
  if (result.code !== 0) {
    const said = (result.stderr.trim() || result.stdout.trim()).split("\n").join("; ");
    throw new MeshError(
      "lab.command.refused",
      `${argv.join(" ")}: ${said || `exit code ${result.code}`}`,
      { fault: "host" },
    );
  }
  return result.stdout;
}
