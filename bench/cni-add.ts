/**
 * What does an ADD cost, from exec to result?
 *
 * One namespace stands for the machine and has the production server and agent in it; a hundred pods are attached by
 * the real executable, in turn with a hundred by the rival, Debian's reference plugins `ptp` and `host-local`, which do
 * the part of the work that both have in common: address, veth pair, routes. Ours also puts the pod's policy in the
 * kernel and forces the address's record to disk. Like for like, the pods have no sidecar; what a sidecar adds
 * is measured afterwards, with a spare ready as on a node at rest.
 *
 * Both are started by the same `spawnSync`, whose own price (about 2 ms) is in both figures.
 */

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../src/agent/fake/node.ts";
import type { Pod } from "../src/api/k8s/core.ts";
import { connectSocket } from "../src/cli/connection.ts";
import { createNetns, deleteNetns, enterNetns, inNetns } from "../src/kernel/netns.ts";

const root = join(import.meta.dirname, "..");
const executable = join(root, "build/heddle-cni");
const rival = "/usr/lib/cni/ptp";
const address = "192.0.2.1";
const warmUps = 10;

export interface CniAddOptions {
  /** ADDs of each kind; 100 unless given. */
  readonly count?: number;
  /** ADDs with a sidecar; 20 unless given. */
  readonly sidecars?: number;
}

export interface Percentiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly count: number;
}

export interface CniAddResult {
  readonly bench: "cni-add";
  readonly question: string;
  readonly ours: Percentiles & { readonly delete: Percentiles };
  readonly reference: Percentiles & { readonly delete: Percentiles };
  /** Ours divided by the reference; the aim is at most 2. */
  readonly ratio: { readonly p50: number; readonly p99: number; readonly floor: number };
  /** Executing the plugin for VERSION: what any plugin pays before it does anything. */
  readonly floor: Percentiles;
  readonly aim: number;
  /** Undefined where no sidecar could be started. */
  readonly withSidecar?: Percentiles;
}

export async function run(options: CniAddOptions = {}): Promise<CniAddResult> {
  if (process.getuid?.() !== 0) throw new Error("bench cni-add: needs root");
  for (const path of [executable, rival]) {
    if (!existsSync(path)) throw new Error(`bench cni-add: ${path} is absent (npm run setup)`);
  }
  const count = options.count ?? 100;
  const sidecars = options.sidecars ?? 20;
  await using machine = await Machine.start(count + warmUps, sidecars);

  const ours: Sample[] = [];
  const theirs: Sample[] = [];
  const nothing: number[] = [];
  for (let i = 0; i < count + warmUps; i++) {
    nothing.push(machine.measureFloor());
    ours.push(machine.measure("ours", i));
    theirs.push(machine.measure("reference", i));
  }
  const withSidecar = await machine.measureSidecars(sidecars);
  const figures = (samples: readonly Sample[]) => ({
    ...percentiles(samples.slice(warmUps).map((each) => each.addMs)),
    delete: percentiles(samples.slice(warmUps).map((each) => each.deleteMs)),
  });
  const result = { ours: figures(ours), reference: figures(theirs) };
  return {
    bench: "cni-add",
    question: "what does an ADD cost, from exec to result?",
    ...result,
    floor: percentiles(nothing.slice(warmUps)),
    ratio: {
      floor: round(result.ours.p50Ms / percentiles(nothing.slice(warmUps)).p50Ms),
      p50: round(result.ours.p50Ms / result.reference.p50Ms),
      p99: round(result.ours.p99Ms / result.reference.p99Ms),
    },
    aim: 2,
    ...(withSidecar === undefined ? {} : { withSidecar }),
  };
}

interface Sample {
  readonly addMs: number;
  readonly deleteMs: number;
}

/** A namespace with server and agent, and the pods' namespaces. */
class Machine implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  readonly #namespaces: string[] = [];
  readonly #processes: ReturnType<typeof spawn>[] = [];
  readonly #uids = new Map<string, string>();

  static async start(plain: number, meshed: number): Promise<Machine> {
    const machine = new Machine();
    chmodSync(machine.#directory, 0o711); // sidecars run as another user and come by here
    try {
      await machine.#start(plain, meshed);
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Attaches and detaches one pod by one of both, each in a namespace of its own. */
  measure(kind: "ours" | "reference", index: number): Sample {
    const netns = this.#netns(`${kind}-${index}`);
    const call = kind === "ours" ? this.#ours(`plain-${index}`, netns) : this.#theirs(index, netns);
    return { addMs: call("ADD"), deleteMs: call("DEL") };
  }

  /** What executing a plugin costs by itself: VERSION is answered by the executable, which asks nobody. */
  measureFloor(): number {
    return this.#ours("nobody", "/nowhere")("VERSION");
  }

  /** With a spare ready each time, which is what a node at rest has. */
  async measureSidecars(count: number): Promise<Percentiles | undefined> {
    if (count === 0) return undefined;
    const times: number[] = [];
    const agentSocket = join(this.#directory, "run/agent.sock");
    for (let i = 0; i < count; i++) {
      await until("a spare sidecar", async () => (await readStatus(agentSocket)).spareSidecars > 0);
      await sleep(400); // a spare is listed when it is started; it has booted a while later
      const call = this.#ours(`meshed-${i}`, this.#netns(`meshed-${i}`));
      try {
        times.push(call("ADD"));
      } catch (error) {
        process.stderr.write(`with a sidecar: ${error}\n`);
        return undefined;
      } finally {
        call("DEL");
      }
    }
    return percentiles(times);
  }

  #ours(pod: string, netns: string): (command: string) => number {
    const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod};K8S_POD_UID=${this.#uids.get(pod)}`;
    const config = JSON.stringify({ cniVersion: "1.0.0", name: "heddle", type: "heddle-cni" });
    const env = { HEDDLE_CNI_SOCKET: join(this.#directory, "run/cni.sock"), CNI_ARGS: args };
    return (command) => timed(executable, command, `bench-${pod}`, netns, config, env);
  }

  #theirs(index: number, netns: string): (command: string) => number {
    const ipam = {
      type: "host-local",
      subnet: "198.18.0.0/16",
      dataDir: join(this.#directory, "host-local"),
    };
    const config = JSON.stringify({ cniVersion: "1.0.0", name: "reference", type: "ptp", ipam });
    return (command) => timed(rival, command, `bench-${index}`, netns, config, {});
  }

  async #start(plain: number, meshed: number): Promise<void> {
    const host = this.#netns("host");
    enterNetns(host); // both executables run here, as on a machine
    const ip = (...args: string[]) => execFileSync("ip", args);
    ip("link", "set", "lo", "up");
    ip("address", "add", `${address}/32`, "dev", "lo");

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
      const agentSocket = join(this.#directory, "run/agent.sock");
      await until("the agent", async () => {
        const status = await readStatus(agentSocket);
        return status.inSync && status.blocks.length > 0;
      });
    } finally {
      connection.close();
    }
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

  #netns(name: string): string {
    const path = `/run/netns/heddle-test-${process.pid}-${name}`;
    createNetns(path);
    this.#namespaces.push(path);
    inNetns(path, () => execFileSync("ip", ["link", "set", "lo", "up"]));
    return path;
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

function timed(
  file: string,
  command: string,
  containerId: string,
  netns: string,
  config: string,
  more: Readonly<Record<string, string>>,
): number {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/usr/lib/cni",
    ...more,
  };
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(file, [], { input: config, env });
  const tookMs = performance.now() - start;
  if (status !== 0) throw new Error(`${file} ${command} ${containerId}: ${stdout}${stderr}`);
  return tookMs;
}

function percentiles(times: readonly number[]): Percentiles {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => round(sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN);
  return { p50Ms: at(0.5), p99Ms: at(0.99), count: times.length };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

async function until(what: string, probe: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await probe().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`bench cni-add: ${what} never came`);
    await sleep(10);
  }
}
