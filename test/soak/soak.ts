/**
 * Two sidecars in namespaces of their own, as agents start them, while everything about them changes: 24 configurations
 * a minute, with endpoints that come and go, a new certificate with each for one of them, and two hot upgrades. The
 * application between them keeps asking (client.ts). What is wanted: no failed request, and memory that does not grow.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { sidecarNodeOptions } from "../../src/agent/sidecars/node-options.ts";
import { compilePodCapture } from "../../src/core/dataplane/pod-capture.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { proxyUid } from "../../src/model/names.ts";
import { renderRuleset } from "../../src/model/ruleset-text.ts";
import type { ProxySnapshot } from "../../src/proxy/config/source.ts";
import { labels, node } from "../../src/proxy/testing/mesh.ts";
import { createMeshCa } from "../../src/proxy/testing/mesh-ca.ts";
import { Scratch } from "../netns/kernel-scratch.ts";
import {
  appPorts,
  clientAddress,
  clientIdentity,
  clientSnapshot,
  serverAddress,
  serverIdentity,
  serverSnapshot,
  tunnelPort,
} from "./mesh.ts";

const reloadEveryMs = 2_500; // 24 a minute

export interface SoakReport {
  readonly seconds: number;
  readonly answered: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
  readonly reloads: number;
  readonly upgrades: number;
  /** Resident memory of each process, MB: after a quarter of its life, and in the end. */
  readonly memory: readonly (readonly [sidecar: string, early: number, late: number])[];
}

export async function soak(seconds: number): Promise<SoakReport> {
  using scratch = new Scratch();
  const [clientPod, serverPod] = [scratch.netns(), scratch.netns()];
  joinByVeth(clientPod, serverPod);
  for (const pod of [clientPod, serverPod]) {
    inNetns(pod, () =>
      execFileSync("nft", ["-f", "-"], { input: renderRuleset(compilePodCapture()) }),
    );
  }
  serveApplications(scratch, serverPod);
  const ca = await createMeshCa();
  let clientSecrets = await ca.secrets(clientIdentity);
  let serverSecrets = await ca.secrets(serverIdentity);
  const client = new TestedSidecar(scratch, clientPod, "web", clientAddress);
  const server = new TestedSidecar(scratch, serverPod, "cart", serverAddress);
  client.show(clientSnapshot(0, clientSecrets));
  server.show(serverSnapshot(0, serverSecrets));
  await client.start();
  await server.start();

  const load = startClient(scratch, clientPod);
  const begun = performance.now();
  const elapsed = () => (performance.now() - begun) / 1_000;
  let reloads = 0;
  let upgrades = 0;
  while (elapsed() < seconds) {
    reloads++;
    await sleep(Math.max(0, begun + reloads * reloadEveryMs - performance.now()));
    if (reloads % 2 === 0) clientSecrets = await ca.secrets(clientIdentity);
    else serverSecrets = await ca.secrets(serverIdentity);
    client.show(clientSnapshot(reloads, clientSecrets));
    server.show(serverSnapshot(reloads, serverSecrets));
    for (const each of [client, server]) each.sample();
    const due = Math.min(2, Math.floor((3 * elapsed()) / seconds));
    if (due > upgrades) {
      upgrades++;
      await (upgrades === 1 ? client : server).upgrade();
    }
  }
  const { counts, failures } = await load.end();
  const memory = [...client.memory(), ...server.memory()];
  return { seconds, answered: counts, failures, reloads, upgrades, memory };
}

/** A sidecar's process, and those before it. */
class TestedSidecar {
  readonly #scratch: Scratch;
  readonly #netns: string;
  readonly #name: string;
  readonly #address: string;
  readonly #folder: string;
  readonly #samples = new Map<number, number[]>();
  #process: ChildProcess | undefined;

  constructor(scratch: Scratch, netns: string, name: string, address: string) {
    this.#scratch = scratch;
    this.#netns = netns;
    this.#name = name;
    this.#address = address;
    this.#folder = mkdtempSync(join(tmpdir(), "heddle-soak-"));
    chownSync(this.#folder, proxyUid, proxyUid);
    scratch.defer(() => rmSync(this.#folder, { recursive: true, force: true }));
  }

  /** The sidecar looks at the file by itself. */
  show(snapshot: ProxySnapshot): void {
    const file = join(this.#folder, "snapshot.json");
    writeFileSync(`${file}.new`, JSON.stringify(snapshot));
    renameSync(`${file}.new`, file);
  }

  async start(predecessor?: number): Promise<void> {
    const script = join(import.meta.dirname, "../netns/proxy-process.ts");
    const child = spawn(
      process.execPath,
      [...sidecarNodeOptions, script, join(this.#folder, "snapshot.json")],
      {
        stdio: ["ignore", "inherit", "inherit", "pipe"],
      },
    );
    this.#scratch.defer(() => void child.kill("SIGKILL"));
    const channel = child.stdio[3] as Duplex;
    const bootstrap = {
      proxy: node(labels("shop", this.#name), this.#address),
      xdsSocket: "",
      adminSocket: join(this.#folder, "admin.sock"),
      trustDomain: "cluster.local",
    };
    const assignment = { netns: this.#netns, uid: proxyUid, predecessor, bootstrap };
    channel.write(`${JSON.stringify(assignment)}\n`);
    for await (const line of createInterface(channel)) {
      if (line !== '{"ready":true}') throw new Error(line);
      this.#process = child;
      return;
    }
    throw new Error(`sidecar of ${this.#name} ended before it was ready`);
  }

  async upgrade(): Promise<void> {
    const before = this.#process;
    await this.start(before?.pid);
    before?.kill("SIGUSR2");
  }

  sample(): void {
    const pid = this.#process?.pid ?? 0;
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kilobytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
    this.#samples.set(pid, [...(this.#samples.get(pid) ?? []), kilobytes / 1024]);
  }

  memory(): SoakReport["memory"] {
    return [...this.#samples.values()].map((samples) => {
      const early = samples[Math.floor(samples.length / 4)] ?? 0;
      return [this.#name, Math.round(early), Math.round(samples.at(-1) ?? 0)] as const;
    });
  }
}

interface ClientReport {
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

function startClient(scratch: Scratch, netns: string): { end(): Promise<ClientReport> } {
  const script = join(import.meta.dirname, "client.ts");
  const words = [script, `http://${serverAddress}/`, String(tunnelPort)];
  const child = inNetns(netns, () =>
    spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] }),
  );
  scratch.defer(() => void child.kill("SIGKILL"));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const closed = once(child, "close");
  return {
    async end() {
      child.kill("SIGTERM");
      await closed;
      return JSON.parse(text) as ClientReport;
    },
  };
}

/** A socket stays in the namespace in which it began to listen. */
function serveApplications(scratch: Scratch, netns: string): void {
  for (const port of appPorts) {
    const server = createHttpServer((_, response) => response.end("ok"));
    server.keepAliveTimeout = 0;
    inNetns(netns, () => server.listen(port));
    scratch.defer(() => {
      server.close();
      server.closeAllConnections();
    });
  }
  const echo = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  inNetns(netns, () => echo.listen(tunnelPort));
  scratch.defer(() => void echo.close());
}

function joinByVeth(client: string, server: string): void {
  const ip = (netns: string, words: string) =>
    inNetns(netns, () => execFileSync("ip", words.split(" ")));
  ip(client, `link add eth0 type veth peer name eth0 netns ${server.split("/").at(-1)}`);
  for (const [netns, address] of [
    [client, clientAddress],
    [server, serverAddress],
  ] as const) {
    ip(netns, `address add ${address}/24 dev eth0`);
    ip(netns, "link set eth0 up");
  }
}
