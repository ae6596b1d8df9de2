/**
 * Namespaces for one test: made on demand, named `heddle-test-<pid>-<n>`, gone with the scope. `ip` and `nft` look at
 * them from outside, independent of the code under test.
 */

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetns, deleteNetns, inNetns } from "../../src/kernel/netns.ts";

/** What `describe` takes: false as root, else why nothing can run. */
export const needsRoot: string | false = process.getuid?.() === 0 ? false : "needs root";

let made = 0;

export class Scratch implements Disposable {
  readonly #undos: (() => void)[] = [];

  /** A namespace with loopback up, as every machine has it. */
  netns(): string {
    const path = this.unmade();
    createNetns(path);
    inNetns(path, () => execFileSync("ip", ["link", "set", "lo", "up"]));
    return path;
  }

  /** A path for a namespace that the test makes. */
  unmade(): string {
    made += 1;
    const path = `/run/netns/heddle-test-${process.pid}-${made}`;
    this.defer(() => deleteNetns(path));
    return path;
  }

  /** A folder of files. */
  folder(): string {
    const path = mkdtempSync(join(tmpdir(), "heddle-test-"));
    this.defer(() => rmSync(path, { recursive: true }));
    return path;
  }

  /** Runs `undo` at the end, before what was there earlier goes. */
  defer(undo: () => void): void {
    this.#undos.push(undo);
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undos.splice(0).reverse()) undo();
  }
}

/** What the tests read of a link in `ip -j -d link`. */
export interface LinkJson {
  readonly ifindex: number;
  readonly ifname: string;
  readonly address: string;
  readonly mtu: number;
  readonly operstate: string;
  readonly linkinfo?: unknown;
}

/** What `ip -j -d link …` says in a namespace. */
export function linksJson(netns: string, ...args: readonly string[]): readonly LinkJson[] {
  const text = inNetns(netns, () => execFileSync("ip", ["-j", "-d", "link", ...args]));
  return text.length === 0 ? [] : JSON.parse(text.toString());
}

/** What a command writes in a namespace. */
export function output(netns: string, command: string, ...args: readonly string[]): string {
  return inNetns(netns, () => execFileSync(command, args, { stdio: "pipe" })).toString();
}

/** Everything that `address:port` sends to a client in a namespace until it closes. */
export function readTcp(netns: string, address: string, port: number): Promise<string> {
  const child = inNetns(netns, () =>
    spawn("bash", ["-c", `exec 3<>/dev/tcp/${address}/${port}; cat <&3`], {
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 5000,
    }),
  );
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (chunk) => {
      text += chunk;
    });
    child.on("error", reject);
    child.on("close", () => resolve(text));
  });
}
