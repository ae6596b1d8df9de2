/**
 * A machine of its own for container runtimes: namespaces for network, mounts and processes, empty state folders, a
 * production server and agent, Heddle's network installed, and a root file system made of busybox and
 * bash.
 *
 * Everything that a runtime writes is in memory and goes with the machine; its first process ends when the test's does,
 * however that ends, and the kernel ends all others with it.
 */

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../src/agent/fake/node.ts";
import type { AgentStatus } from "../../src/agent/status.ts";
import { type Connection, connectSocket } from "../../src/cli/connection.ts";

const root = join(import.meta.dirname, "../..");
export const machineAddress = "192.0.2.1";
export const nodeName = "machine";

/** Why tests of a runtime are skipped; false where they run. */
export function skipWithout(...files: readonly string[]): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  const missing = [join(root, "build/heddle-cni"), "/bin/busybox", ...files].filter(
    (file) => !existsSync(file),
  );
  return missing.length === 0 ? false : `needs ${missing.join(", ")} (npm run setup)`;
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const prepare = `
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /opt
mount -t tmpfs tmpfs /etc/cni
mount -t tmpfs tmpfs /var/lib
mkdir -p /run/netns /run/lock /run/d /opt/cni/bin /etc/cni/net.d /var/lib/cni
ip link set lo up
ip address add ${machineAddress}/32 dev lo
r=/run/rootfs
mkdir -p $r/bin $r/etc $r/proc $r/sys $r/dev $r/tmp $r/run $r/var
cp /bin/busybox $r/bin/busybox
for command in sh cat echo httpd sleep ip timeout true; do ln -s busybox $r/bin/$command; done
cp /bin/bash $r/bin/bash
cp --parents $(ldd /bin/bash | grep -o '/[^ ]*') $r
echo 'root:x:0:0:root:/:/bin/sh' >$r/etc/passwd
: >$r/etc/resolv.conf
echo ready
cat >/dev/null`;

export class Machine implements AsyncDisposable {
  readonly connection: Connection;
  readonly #first: ChildProcess;
  readonly #pid: number;

  private constructor(first: ChildProcess, pid: number) {
    this.#first = first;
    this.#pid = pid;
    this.connection = connectSocket(this.outside("/run/d/data/admin.sock"), () => undefined);
  }

  static async start(): Promise<Machine> {
    const first = spawn(
      "unshare",
      [
        ...["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
        ...["--propagation", "private", "sh", "-c", prepare],
      ],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    await once(first.stdout, "data");
    const children = `/proc/${first.pid}/task/${first.pid}/children`;
    const machine = new Machine(first, Number(readFileSync(children, "utf8").trim()));
    try {
      await machine.#startHeddle();
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A path of the machine as the test's process reaches it. */
  outside(path: string): string {
    return `/proc/${this.#pid}/root${path}`;
  }

  /** Runs a command on the machine; a code other than 0 is an answer, too. */
  run(
    file: string,
    words: readonly string[] = [],
    env: Record<string, string> = {},
  ): Promise<Output> {
    return new Promise((resolve) => {
      const child = execFile(
        "nsenter",
        this.#enter(file, words),
        { env: { ...process.env, ...env }, timeout: 60_000, killSignal: "SIGKILL" },
        (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
      );
    });
  }

  /** What a command that must succeed prints. */
  async must(
    file: string,
    words: readonly string[] = [],
    env: Record<string, string> = {},
  ): Promise<string> {
    const { code, stdout, stderr } = await this.run(file, words, env);
    assert.equal(code, 0, `${file} ${words.join(" ")}: ${stdout}${stderr}`);
    return stdout.trim();
  }

  /** Starts a process that runs as long as the machine. */
  start(file: string, words: readonly string[], log: string): void {
    const command = `exec "$@" >${log} 2>&1`;
    spawn("nsenter", this.#enter("sh", ["-c", command, "sh", file, ...words]), { stdio: "ignore" });
  }

  heddle(...words: readonly string[]): Promise<string> {
    return this.must(process.execPath, [join(root, "src/main.ts"), ...words]);
  }

  status(): Promise<AgentStatus> {
    return readStatus(this.outside("/run/d/run/agent.sock"));
  }

  /** Polls until `look` gives something other than undefined or false. */
  async until<T>(
    what: string,
    look: () => Promise<T | undefined | false>,
    withinMs = 20_000,
  ): Promise<T> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const found = await look().catch(() => undefined);
      if (found !== undefined && found !== false) return found;
      assert.ok(performance.now() < deadline, `${what}: not so after ${withinMs} ms`);
      await sleep(20);
    }
  }

  /** Links and routes to pods, and addresses in use: nothing of them may be left when all containers are gone. */
  async leftovers(): Promise<string> {
    const links = await this.must("ip", ["-br", "link"]);
    const { attachments, addressesInUse } = await this.status();
    const found = links.match(/hd[0-9a-f]{10}/g) ?? [];
    return JSON.stringify({ links: found, attachments, addressesInUse });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.close();
    const ended = once(this.#first, "exit");
    this.#first.stdin?.end();
    await ended;
  }

  async #startHeddle(): Promise<void> {
    this.#startProcess("server", { "--data": "/run/d/data", "--listen": machineAddress });
    await this.until("the server", async () =>
      this.connection.client.list("Node").then(() => true),
    );
    const { body } = await this.connection.transport.send({
      method: "POST",
      path: "/heddle/v1/node-tokens",
      body: { node: nodeName },
    });
    await this.must("sh", [
      "-c",
      'umask 077; printf %s "$0" >/run/d/bootstrap',
      JSON.stringify(body),
    ]);
    this.startAgent();
    await this.until("the agent", async () => {
      const status = await this.status();
      return status.inSync && status.blocks.length > 0;
    });
    await this.heddle("node", "install", "--socket", "/run/d/run/cni.sock");
  }

  startAgent(): void {
    this.#startProcess("agent", {
      "--bootstrap": "/run/d/bootstrap",
      "--node": nodeName,
      "--address": machineAddress,
      "--run-dir": "/run/d/run",
      "--state-dir": "/run/d/state",
      "--podman-root": "/run/d/podman",
      "--containerd-root": "/run/d/containerd",
    });
  }

  /** What the server or the agent has said. */
  log(name: "server" | "agent"): string {
    return readFileSync(this.outside(`/run/d/${name}.log`), "utf8");
  }

  #enter(file: string, words: readonly string[]): string[] {
    return ["--target", `${this.#pid}`, "--net", "--mount", "--pid", "--", file, ...words];
  }

  #startProcess(name: string, flags: Readonly<Record<string, string>>): void {
    const words = [join(root, "src/main.ts"), name, ...Object.entries(flags).flat()];
    this.start(process.execPath, words, `/run/d/${name}.log`);
  }
}
