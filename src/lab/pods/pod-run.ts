/**
 * One pod's life on a host, from the moment it is bound there until nothing of it is left.
 *
 * `connecting` (namespace and CNI ADD, tried again until it succeeds) → `running` (a process for each container) →
 * `stopping` (processes first, CNI DEL last). Containers are started only in `running`, so nothing of a pod can send a
 * packet before ADD has returned. What the pod is at any moment goes to a `PodReporter`, which owns telling the API.
 */

import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Container, Pod } from "../../api/k8s/core.ts";
import { renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { podResolver, renderResolvConf } from "../../core/dns/pod-resolver.ts";
import { findProcess } from "../../kernel/process-id.ts";
import { podNetns } from "../names.ts";
import { netnsFile } from "../underlay.ts";
import { containerEnv } from "./container-env.ts";
import { runContainer } from "./container-process.ts";
import { commandOf, type ImageRule } from "./image-map.ts";
import type { PodRecord } from "./pod-record.ts";
import { watchReadiness } from "./readiness.ts";
import { type CniInstallation, connectSandbox, disconnectSandbox } from "./sandbox.ts";
import { type ContainerState, creating, imageUnknown } from "./status.ts";

/** What a pod needs of its host. */
export interface PodHost {
  readonly lab: string;
  readonly node: string;
  readonly cni: CniInstallation;
  readonly images: readonly ImageRule[];
  /** Folders of the lab for pods' records and for logs. */
  readonly records: string;
  readonly logs: string;
  readonly log: Log;
}

const defaultGraceSeconds = 30;
const firstRetryMs = 100;
const longestRetryMs = 3_000;

export class PodRun {
  readonly pod: Pod;
  readonly id: string;
  readonly #host: PodHost;
  readonly #report: (containers: readonly ContainerState[]) => void;
  readonly #stop = new AbortController();
  readonly #states: ContainerState[];
  readonly #pids = new Map<string, number>();
  #graceSeconds: number;
  #abandoned = false;
  /** Settles when nothing of the pod is left on the host. */
  readonly done: Promise<void>;

  constructor(pod: Pod, host: PodHost, report: (containers: readonly ContainerState[]) => void) {
    this.pod = pod;
    this.id = createHash("sha256")
      .update(pod.metadata.uid ?? pod.metadata.name)
      .digest("hex")
      .slice(0, 16);
    this.#host = host;
    this.#report = report;
    this.#graceSeconds = pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds;
    this.#states = pod.spec.containers.map(({ name, image }) => ({
      name,
      image,
      phase: { kind: "waiting", reason: creating, message: "being connected" },
      restartCount: 0,
    }));
    this.done = this.#live();
  }

  /** Begins the end; `done` tells when it is over. A shorter grace than the pod's own may be given. */
  stop(graceSeconds: number = this.#graceSeconds): void {
    this.#graceSeconds = Math.min(this.#graceSeconds, graceSeconds);
    this.#stop.abort();
  }

  /** The lab is going down: the processes are killed, and the namespace is left to the sweep. */
  abandon(): void {
    this.#abandoned = true;
    this.stop(0);
  }

  async #live(): Promise<void> {
    const commands = this.pod.spec.containers.map((one) => commandOf(one, this.#host.images));
    const problems = commands.flatMap((command) => ("problem" in command ? [command.problem] : []));
    if (problems.length > 0) {
      this.#setAll({ kind: "waiting", reason: imageUnknown, message: problems.join("; ") });
      await aborted(this.#stop.signal);
      return;
    }
    const sandbox = {
      netns: podNetns(this.#host.lab, this.#namespace, this.pod.metadata.name, this.id),
      containerId: this.id,
      namespace: this.#namespace,
      pod: this.pod.metadata.name,
      uid: this.pod.metadata.uid ?? "",
    };
    const address = await this.#connect(() => connectSandbox(sandbox, this.#host.cni));
    if (address === undefined) return; // stopped before it was connected: nothing is left by then
    const files = this.#writeFiles(address);
    await Promise.all(
      this.pod.spec.containers.map((container, i) => {
        const command = commands[i];
        if (command === undefined || "problem" in command) return undefined;
        return this.#runContainer(container, i, {
          netns: netnsFile(sandbox.netns),
          hostname: this.pod.spec.hostname ?? this.pod.metadata.name,
          resolvConf: files.resolvConf,
          argv: command.argv,
          env: containerEnv(this.pod, container, { ...command.env }, { address }),
          logFile: join(files.logs, `${this.#namespace}_${sandbox.pod}_${container.name}.log`),
          restart: this.pod.spec.restartPolicy ?? "Always",
        });
      }),
    );
    // Containers that have all ended by themselves leave the pod's address in place until it is deleted.
    await aborted(this.#stop.signal);
    if (this.#abandoned) return;
    await this.#disconnect(() => disconnectSandbox(sandbox, this.#host.cni));
    rmSync(files.record, { force: true });
    rmSync(files.resolvConf, { force: true });
  }

  async #connect(attempt: () => Promise<string>): Promise<string | undefined> {
    const signal = this.#stop.signal;
    for (let retryMs = firstRetryMs; !signal.aborted; retryMs = nextRetry(retryMs)) {
      try {
        return await attempt();
      } catch (error) {
        const message = renderError(error);
        this.#host.log.warn("pod not connected", { pod: this.#name, error: message });
        this.#setAll({ kind: "waiting", reason: "NetworkNotReady", message });
        await delay(retryMs, undefined, { signal }).catch(() => {});
      }
    }
    return undefined;
  }

  /** CNI DEL is tried again while the agent is away: an address must not be lost. */
  async #disconnect(attempt: () => Promise<void>): Promise<void> {
    for (let retryMs = firstRetryMs, tries = 0; tries < 10; retryMs = nextRetry(retryMs), tries++) {
      try {
        await attempt();
        return;
      } catch (error) {
        const message = renderError(error);
        this.#host.log.warn("pod not disconnected", { pod: this.#name, error: message });
        await delay(retryMs);
      }
    }
  }

  async #runContainer(
    container: Container,
    index: number,
    spec: Parameters<typeof runContainer>[0],
  ): Promise<void> {
    let readiness = new AbortController();
    const events: Parameters<typeof runContainer>[1] = {
      started: (pid) => {
        readiness = new AbortController();
        this.#pids.set(container.name, pid);
        this.#writeRecord(spec.netns);
        this.#set(index, { kind: "running", ready: false });
        void watchReadiness(
          container,
          { netns: spec.netns, pid },
          (ready) => this.#set(index, { kind: "running", ready }),
          readiness.signal,
        );
      },
      ended: (exitCode, again) => {
        readiness.abort();
        this.#pids.delete(container.name);
        if (again) this.#countRestart(index);
        this.#set(
          index,
          again
            ? {
                kind: "waiting",
                reason: "Restarting",
                message: `ended with exit code ${exitCode}, starting again`,
              }
            : { kind: "ended", exitCode },
        );
      },
      failed: (message) => this.#set(index, { kind: "waiting", reason: "StartError", message }),
    };
    await runContainer(spec, events, () => this.#graceSeconds * 1000, this.#stop.signal);
    readiness.abort();
  }

  #writeFiles(address: string): { logs: string; record: string; resolvConf: string } {
    const logs = join(this.#host.logs, "pods");
    mkdirSync(logs, { recursive: true });
    mkdirSync(this.#host.records, { recursive: true });
    const resolvConf = join(this.#host.records, `${this.id}.resolv.conf`);
    writeFileSync(resolvConf, renderResolvConf(podResolver(this.#namespace, [address])));
    return { logs, record: this.#recordFile, resolvConf };
  }

  /** For `lab exec` and `lab status`, which run in other processes. */
  #writeRecord(netns: string): void {
    const record: PodRecord = {
      namespace: this.#namespace,
      name: this.pod.metadata.name,
      uid: this.pod.metadata.uid ?? "",
      node: this.#host.node,
      containerId: this.id,
      netns,
      containers: this.pod.spec.containers.flatMap(({ name }) => {
        const pid = this.#pids.get(name);
        const process = pid === undefined ? undefined : findProcess(pid);
        return process === undefined ? [] : [{ name, process }];
      }),
    };
    writeFileSync(this.#recordFile, JSON.stringify(record));
  }

  #setAll(phase: ContainerState["phase"]): void {
    this.#states.forEach((state, i) => {
      this.#states[i] = { ...state, phase };
    });
    this.#report([...this.#states]);
  }

  #set(index: number, phase: ContainerState["phase"]): void {
    const state = this.#states[index];
    if (state === undefined) return;
    this.#states[index] = { ...state, phase };
    if (!this.#stop.signal.aborted) this.#report([...this.#states]);
  }

  #countRestart(index: number): void {
    const state = this.#states[index];
    if (state === undefined) return;
    this.#states[index] = { ...state, restartCount: state.restartCount + 1 };
  }

  get #namespace(): string {
    return this.pod.metadata.namespace ?? "default";
  }

  get #name(): string {
    return `${this.#namespace}/${this.pod.metadata.name}`;
  }

  get #recordFile(): string {
    return join(this.#host.records, `${this.id}.json`);
  }
}

function nextRetry(retryMs: number): number {
  return Math.min(longestRetryMs, retryMs * 2);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
