/**
 * A chain of CNI plugins, executed as a container runtime's library does it: each plugin gets its configuration with the
 * result of the one before as `prevResult`, and DEL goes through them backwards with the final result.
 */

import { spawn } from "node:child_process";

export interface Plugin {
  /** The executable. */
  readonly file: string;
  /** Its part of the network's configuration, with what the runtime adds to it. */
  readonly config: object;
}

export interface Chain {
  readonly plugins: readonly Plugin[];
  readonly containerId: string;
  readonly netns: string;
  readonly env: Readonly<Record<string, string>>;
}

/** An attachment that was made: what it cost, and what DEL needs. */
export interface Added {
  /** Milliseconds from the first exec to the last plugin's result. */
  readonly tookMs: number;
  readonly result: unknown;
}

export async function addAll(chain: Chain): Promise<Added> {
  const start = performance.now();
  let result: unknown;
  for (const plugin of chain.plugins) {
    result = JSON.parse(await execute(plugin, "ADD", chain, result));
  }
  return { tookMs: performance.now() - start, result };
}

/** Milliseconds. */
export async function deleteAll(chain: Chain, result: unknown): Promise<number> {
  const start = performance.now();
  for (const plugin of chain.plugins.toReversed()) await execute(plugin, "DEL", chain, result);
  return performance.now() - start;
}

/** Runs one plugin; what it says on standard output. Throws with its words where it fails. */
export function execute(
  { file, config }: Plugin,
  command: string,
  { containerId, netns, env }: Chain,
  prevResult: unknown,
): Promise<string> {
  const child = spawn(file, [], {
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin", // portmap looks for iptables
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/usr/lib/cni",
      ...env,
    },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdin.on("error", () => undefined); // it may end without reading all
  child.stdin.end(JSON.stringify(prevResult === undefined ? config : { ...config, prevResult }));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${file} ${command} ${containerId}: ${stdout}${stderr}`));
    });
  });
}
