/**
 * Workers as the agent starts them, and pods for them: all pods have the same address and talk to the same address, each in
 * a network of its own, so that whatever of one got into another would be answered by the wrong name.
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { givePod, type ServedPod } from "../../src/agent/sidecars/worker-client.ts";
import { proxyUid } from "../../src/model/names.ts";
import { labels, node } from "../../src/proxy/testing/mesh.ts";
import { Scratch } from "./kernel-scratch.ts";
import { config, podAddress, podAndOutside, serve } from "./pod-with-sidecar.ts";

export interface Worker {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly socket: string;
  readonly ended: Promise<unknown>;
}

export interface WorkerPod {
  /** Paths of network namespaces. */
  readonly pod: string;
  readonly outside: string;
  readonly id: string;
  readonly name: string;
  readonly adminSocket: string;
  readonly folder: string;
}

export class WorkerScene implements AsyncDisposable {
  readonly #scratch = new Scratch();
  readonly #folder = mkdtempSync(join(tmpdir(), "heddle-test-worker-"));
  readonly #workers: Worker[] = [];

  constructor() {
    chmodSync(this.#folder, 0o711);
    writeFileSync(this.#snapshot, JSON.stringify({ version: "7", config: config(), secrets: [] }));
    this.#scratch.defer(() => rmSync(this.#folder, { recursive: true, force: true }));
  }

  get #snapshot(): string {
    return join(this.#folder, "snapshot.json");
  }

  async worker(name = "shared-1"): Promise<Worker> {
    const script = join(import.meta.dirname, "proxy-process.ts");
    const child = spawn(process.execPath, [script, this.#snapshot], {
      stdio: ["ignore", "inherit", "inherit", "pipe"],
    });
    const { pid = 0 } = child;
    const socket = join(this.#folder, `${name}.${pid}.sock`);
    const worker = { child, pid, socket, ended: once(child, "exit") };
    this.#workers.push(worker);
    const channel = child.stdio[3] as Duplex;
    channel.write(`${JSON.stringify({ uid: proxyUid, worker: { name, socket } })}\n`);
    const [answer] = (await once(channel, "data")) as [Buffer];
    assert.equal(answer.toString(), '{"ready":true}\n');
    return worker;
  }

  /** An application on 8080 of the pod, and a server on 80 outside, each of which answers whose it is. */
  async pod(name: string): Promise<WorkerPod> {
    const pod = this.emptyPod(name);
    await serve(this.#scratch, pod.pod, 8080, `application of ${name}`);
    await serve(this.#scratch, pod.outside, 80, `outside of ${name}`);
    return pod;
  }

  /** Nothing answers there but what the caller starts. */
  emptyPod(name: string): WorkerPod {
    const folder = join(this.#folder, name);
    mkdirSync(folder);
    chownSync(folder, proxyUid, proxyUid); // as the agent does
    return {
      ...podAndOutside(this.#scratch),
      id: `container-${name}`,
      name,
      folder,
      adminSocket: join(folder, "admin.sock"),
    };
  }

  async give(worker: Worker, pod: WorkerPod, predecessor?: number): Promise<ServedPod> {
    const assignment = {
      netns: pod.pod,
      ...(predecessor === undefined ? {} : { predecessor }),
      logFile: join(pod.folder, "proxy.log"),
      bootstrap: {
        proxy: node(labels("shop", "cart"), podAddress),
        xdsSocket: "",
        adminSocket: pod.adminSocket,
        trustDomain: "cluster.local",
      },
    };
    // Whose patience ends later must not end what was given.
    const patience = new AbortController();
    const late = setTimeout(() => patience.abort(), 20_000);
    const served = await givePod(worker.socket, pod.id, assignment, patience.signal).finally(() =>
      clearTimeout(late),
    );
    patience.abort();
    return served;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, ended } of this.#workers) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await ended;
    }
    this.#scratch[Symbol.dispose]();
  }
}
