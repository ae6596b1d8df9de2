/**
 * A namespace that stands for a machine, with the production server and agent in it, Pod objects to attach, and
 * namespaces of containers.
 *
 * `ours` and `reference` are the two ways to attach a container to a network, with or without one port of the machine
 * that leads to it: the real executable, and Debian's reference plugins `ptp`, `host-local` and `portmap`.
 */

import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../src/agent/fake/node.ts";
import type { Pod } from "../../src/api/k8s/core.ts";
import { connectSocket } from "../../src/cli/connection.ts";
import { createNetns, deleteNetns, enterNetns, inNetns } from "../../src/kernel/netns.ts";
import type { Chain, Plugin } from "./chain.ts";

const root = join(import.meta.dirname, "../..");
const executable = join(root, "build/heddle-cni");
const reference = "/usr/lib/cni";
const address = "192.0.2.1";
const cniVersion = "1.0.0";

/** What a container is called with. */
export interface Container {
  readonly id: string;
  readonly netns: string;
  /** One port of the machine leads to the container's port 80. */
  readonly hostPort?: number;
}

export interface MachineOptions {
  /** Pods without a sidecar: `plain-0` and so on. */
  readonly plain: number;
  /** Pods with one: `meshed-0` and so on. */
  readonly meshed?: number;
}

export class CniMachine implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  readonly #namespaces: string[] = [];
  readonly #processes: ReturnType<typeof spawn>[] = [];
  readonly #uids = new Map<string, string>();

  static async start(options: MachineOptions): Promise<CniMachine> {
    if (process.getuid?.() !== 0) throw new Error("needs root");
    const plugins = ["ptp", "host-local", "portmap"].map((name) => join(reference, name));
    for (const path of [executable, ...plugins]) {
      if (!existsSync(path)) throw new Error(`${path} is absent (npm run setup -- bench)`);
    }
    const machine = new CniMachine();
    chmodSync(machine.#directory, 0o711); // sidecars run as another user and come by here
    try {
      await machine.#start(options);
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A container's namespace. */
  netns(name: string): string {
    const path = `/run/netns/heddle-test-${process.pid}-${name}`;
    createNetns(path);
    this.#namespaces.push(path);
    inNetns(path, () => execFileSync("ip", ["link", "set", "lo", "up"]));
    return path;
  }

  ours(pod: string, { id, netns, hostPort }: Container): Chain {
    const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod};K8S_POD_UID=${this.#uids.get(pod)}`;
    const env = { HEDDLE_CNI_SOCKET: join(this.#directory, "run/cni.sock"), CNI_ARGS: args };
    const config = { cniVersion, name: "heddle", type: "heddle-cni", ...published(hostPort) };
    return { containerId: id, netns, env, plugins: [{ file: executable, config }] };
  }

  reference({ id, netns, hostPort }: Container): Chain {
    const common = { cniVersion, name: "reference" };
    const ipam = {
      type: "host-local",
      subnet: "198.18.0.0/16",
      dataDir: join(this.#directory, "host-local"),
    };
    const ptp: Plugin = {
      file: join(reference, "ptp"),
      config: { ...common, type: "ptp", ipam },
    };
    const portmap: Plugin = {
      file: join(reference, "portmap"),
      config: { ...common, type: "portmap", snat: true, ...published(hostPort) },
    };
    const plugins = hostPort === undefined ? [ptp] : [ptp, portmap];
    return { containerId: id, netns, env: {}, plugins };
  }

  /** Resolves when a spare sidecar is there. */
  async spareSidecar(): Promise<void> {
    await until("a spare sidecar", async () => (await this.#status()).spareSidecars > 0);
    await sleep(400); // a spare is listed when it is started; it has booted a while later
  }

  async #start({ plain, meshed = 0 }: MachineOptions): Promise<void> {
    enterNetns(this.netns("host")); // the executables run here, as on a machine
    execFileSync("ip", ["address", "add", `${address}/32`, "dev", "lo"]);

    this.#spawn("server", { "--data": join(this.#directory, "data"), "--listen": address });
    const connection = connectSocket(join(this.#directory, "data/admin.sock"), () => undefined);
    try {
      await until("the server", async () => connection.client.list("Node").then(() => true));
      const body = { node: "bench" };
      const path = "/heddle/v1/node-tokens";
      const answer = await connection.transport.send({ method: "POST", path, body });
      const bootstrap = join(this.#directory, "bootstrap.json");
      writeFileSync(bootstrap, JSON.stringify(answer.body), { mode: 0o600 });
      this.#spawn("agent", {
        "--bootstrap": bootstrap,
        "--node": "bench",
        "--address": address,
        "--run-dir": join(this.#directory, "run"),
        "--state-dir": join(this.#directory, "state"),
      });
      for (let i = 0; i < plain; i++) await this.#createPod(connection.client, `plain-${i}`, false);
      for (let i = 0; i < meshed; i++) {
        await this.#createPod(connection.client, `meshed-${i}`, true);
      }
      await until("the agent", async () => {
        const status = await this.#status();
        return status.inSync && status.blocks.length > 0;
      });
    } finally {
      connection.close();
    }
  }

  #status(): ReturnType<typeof readStatus> {
    return readStatus(join(this.#directory, "run/agent.sock"));
  }

  async #createPod(
    client: ReturnType<typeof connectSocket>["client"],
    name: string,
    meshed: boolean,
  ): Promise<void> {
    const pod: Pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name,
        namespace: "default",
        labels: { app: name, ...(meshed ? {} : { "sidecar.istio.io/inject": "false" }) },
      },
      spec: { nodeName: "bench", containers: [{ name: "app", image: "app" }] },
    };
    const created = await client.create(pod);
    this.#uids.set(name, created.metadata.uid ?? "");
  }

  #spawn(command: string, flags: Readonly<Record<string, string>>): void {
    const args = [join(root, "src/main.ts"), command, ...Object.entries(flags).flat()];
    const env = { ...process.env, HEDDLE_LOG_LEVEL: "warn" };
    this.#processes.push(spawn(process.execPath, args, { stdio: "inherit", env }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes.reverse()) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await Promise.race([ended, sleep(5_000).then(() => child.kill("SIGKILL"))]);
    }
    for (const path of this.#namespaces) deleteNetns(path);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** As runtimes hand ports to plugins that have the capability. */
function published(hostPort: number | undefined): object {
  if (hostPort === undefined) return {};
  const portMappings = [{ hostPort, containerPort: 80, protocol: "tcp" }];
  return { capabilities: { portMappings: true }, runtimeConfig: { portMappings } };
}

async function until(what: string, probe: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await probe().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`${what} never came`);
    await sleep(10);
  }
}
