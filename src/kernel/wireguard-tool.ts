/**
 * Runs `wg` and `wireguard-go`, and waits for them: usually 5 to 50 ms, in which nothing else happens on the node.
 *
 * One that hangs, as `wg` does while a `wireguard-go` is stopped, is ended after a second; for ten more none is run, so
 * that a device that nobody answers for costs the node a tenth of its time at most.
 */

import { spawnSync } from "node:child_process";

export interface Outcome {
  /** Null where it had to be ended, or was not run. */
  readonly status: number | null;
  readonly stdout: string;
  /** What it said, or what became of it. */
  readonly stderr: string;
}

export class WireguardTool {
  readonly #folder: string | undefined;
  #hungUntilMs = 0;

  /** `folder` takes the place of /var/run, where a program of the same machine's other nodes would be met. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  wg(...words: readonly string[]): Outcome {
    if (performance.now() < this.#hungUntilMs) return { status: null, stdout: "", stderr: hung };
    const { error, ...outcome } = this.#run(["wg", ...words], longestMs);
    if (error?.code !== "ETIMEDOUT") return outcome;
    this.#hungUntilMs = performance.now() + pauseMs;
    return { ...outcome, stderr: hung };
  }

  /** `log` takes what it says, now and as long as it runs. */
  startUserspace(name: string, log: number): Outcome {
    // A session of its own: what ends the agent's does not end it.
    return this.#run(["setsid", "wireguard-go", name], longestStartMs, log);
  }

  #run(
    argv: readonly string[],
    timeout: number,
    log?: number,
  ): Outcome & { readonly error: NodeJS.ErrnoException | undefined } {
    const mounted =
      this.#folder === undefined
        ? []
        : ["unshare", "--mount", "--propagation", "private", "sh", "-c", inFolder, this.#folder];
    const [program = "", ...words] = [...mounted, ...argv];
    const { status, signal, stdout, stderr, error } = spawnSync(program, words, {
      stdio: log === undefined ? ["ignore", "pipe", "pipe"] : ["ignore", log, log],
      encoding: "utf8",
      timeout,
      killSignal: "SIGKILL",
    });
    const why = error?.message ?? (signal === null ? "" : `${argv[0]} was ended by ${signal}`);
    return { status, stdout: stdout ?? "", stderr: stderr || why, error };
  }
}

const inFolder = 'mount --bind "$0" /var/run && exec "$@"';
/** Twenty times what it takes on a busy machine. */
const longestMs = 1_000;
const pauseMs = 10_000;
/** Once, when the device is made. */
const longestStartMs = 5_000;
const hung = `a command was not answered within ${longestMs} ms, and is tried again after ${pauseMs} ms`;
