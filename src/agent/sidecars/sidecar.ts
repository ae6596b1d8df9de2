/**
 * One pod's sidecar from ADD to DEL: a process, or its part of a worker, that is replaced whenever it dies.
 *
 * States: `starting` (never was ready), `ready`, `down` (died or could not start, the next try is due), `ended`. The
 * pod's capture rules stay while it is down, so its traffic fails closed. The first replacement is immediate; one that
 * keeps dying is tried again with growing pauses.
 *
 * An upgrade is a replacement before the end: a new process takes the listening sockets over, and the old one retires,
 * which is to finish the connections that it has. Where the new one does not get ready, the old one goes on as before.
 */

import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { backoffMs } from "../../base/backoff.ts";
import { MeshError, renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { spiffeId } from "../../model/names.ts";
import type { Attachment } from "../../model/node-view.ts";
import type { SidecarRecord } from "../state/record.ts";
import type { PodToServe, Serving, ServingProcess, SidecarHost } from "./host.ts";
import type { PodSecretsDeps } from "./pod-secrets.ts";
import { PodSources } from "./pod-sources.ts";
import { proxyNodeOf } from "./proxy-node.ts";

/** From assignment to ready; a cold start on a busy machine takes a few seconds. */
const readyWithinMs = 20_000;
/** A sidecar that lived this long starts over with an immediate replacement when it dies. */
const stableMs = 10_000;
const retry = { baseMs: 100, maxMs: 5_000 };

export interface SidecarDeps extends PodSecretsDeps {
  /** Where new processes for the pod come from, by what is wanted now. */
  readonly host: () => SidecarHost;
  /** Who knows of what an earlier agent wrote down. */
  readonly hostOf: (left: ServingProcess) => SidecarHost;
  readonly trustDomain: string;
  readonly remember: (pod: Attachment, served: ServingProcess) => void;
  /** Whether the pod's namespace is gone; what is at its path then is another's. */
  readonly isGone: () => boolean;
}

export type SidecarState =
  | { readonly kind: "starting" }
  | {
      readonly kind: "ready";
      readonly pid: number;
      readonly since: number;
      readonly worker?: string;
    }
  | { readonly kind: "down"; readonly error: string }
  | { readonly kind: "ended" };

export class Sidecar {
  readonly adminSocket: string;
  readonly logFile: string;
  readonly #directory: string;
  /** The interface that it is the sidecar of; of several the one that came first of those that are left. */
  #pod: Attachment;
  readonly #record: SidecarRecord;
  readonly #deps: SidecarDeps;
  readonly #log: Log;
  readonly #sources: PodSources;
  readonly #stop = new AbortController();
  #running: Serving | undefined;
  /** Resolves with the next take-over: from then on it is another process whose end counts. */
  #takenOver = Promise.withResolvers<void>();
  /** Processes that were taken over from, and have connections still. */
  readonly #retired = new Set<Serving>();
  #state: SidecarState = { kind: "starting" };
  #restarts = 0;
  /** Of the upgrade under way, and those that wait for it; never rejects. */
  #upgrades: Promise<unknown> = Promise.resolve();
  #work: Promise<unknown> = Promise.resolve();

  constructor(directory: string, pod: Attachment, record: SidecarRecord, deps: SidecarDeps) {
    this.#directory = directory;
    this.#pod = pod;
    this.#record = record;
    this.#deps = deps;
    this.#log = deps.log.with({ pod: `${pod.namespace}/${pod.name}` });
    this.adminSocket = join(directory, "admin.sock");
    this.logFile = join(directory, "proxy.log");
    const { namespace, name, uid } = pod;
    const identity = spiffeId(deps.trustDomain, namespace, record.serviceAccount);
    const podDeps = { ...deps, log: this.#log };
    this.#sources = new PodSources(directory, { namespace, name, uid }, identity, podDeps);
  }

  get state(): SidecarState {
    return this.#state;
  }

  /** `namespace/name`. */
  get pod(): string {
    return `${this.#pod.namespace}/${this.#pod.name}`;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Starts the first process; resolves when it is ready, throws when it cannot be. */
  async start(signal: AbortSignal): Promise<void> {
    this.#running = await this.#launch(AbortSignal.any([signal, this.#stop.signal]));
    this.#work = this.#supervise();
  }

  /** Takes over the process of an agent that is gone; where it is dead, replaces it. */
  async adopt(): Promise<void> {
    await this.#sources.openByAndBy();
    const { process, worker } = this.#record;
    if (process !== undefined) {
      const left = { process, ...(worker === undefined ? {} : { worker }) };
      const host = this.#deps.hostOf(left);
      this.#running = await host.adopt(this.#podToServe(), left, this.#stop.signal);
    }
    if (this.#running !== undefined) this.#becomeReady(this.#running);
    this.#work = this.#supervise();
  }

  /** Drains and ends the process, whatever state it is in, and removes its files. */
  async end(drainMs: number): Promise<void> {
    this.#stop.abort();
    await this.#upgrades;
    const processes = [...this.#retired, ...(this.#running === undefined ? [] : [this.#running])];
    await Promise.all(processes.map((each) => each.end(drainMs)));
    await this.#work;
    await this.leave();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A new process takes over from the one that runs. Throws, with nothing changed, where it does not get ready. */
  upgrade(signal: AbortSignal): Promise<void> {
    const upgrade = this.#upgrades.then(() => this.#takeOver(signal));
    this.#upgrades = upgrade.catch(() => undefined);
    return upgrade;
  }

  async #takeOver(signal: AbortSignal): Promise<void> {
    const before = this.#running;
    const isGone = this.#deps.isGone();
    if (before === undefined || this.#state.kind !== "ready" || isGone) {
      const state = isGone ? "of a pod that is gone" : this.#state.kind;
      throw new MeshError("agent.sidecar.upgrade", `upgrade sidecar: it is ${state}`, {
        retryable: true,
      });
    }
    // Where nobody is left to take over from, the pod is started again at once.
    const alone = new AbortController();
    const over = new MeshError("agent.sidecar.died", "the sidecar that it takes over from ended");
    void before.ended.then(() => alone.abort(over));
    let successor: Serving;
    try {
      const until = AbortSignal.any([signal, this.#stop.signal, alone.signal]);
      successor = await this.#launch(until, before.process.pid);
    } catch (error) {
      this.#deps.remember(this.#pod, before);
      throw error;
    }
    this.#running = successor;
    this.#takenOver.resolve();
    this.#takenOver = Promise.withResolvers();
    // A worker that died meanwhile is a new process already.
    if (successor.process.pid === before.process.pid) return;
    this.#retired.add(before);
    void before.ended.then(() => this.#retired.delete(before));
    before.retire();
  }

  /** Its interface is gone, and another of the container's stays: what starts from now on has that one's address. */
  moveTo(pod: Attachment): void {
    this.#pod = pod;
  }

  /** Lets go of the process without ending it: the agent stops, the next one adopts it. */
  async leave(): Promise<void> {
    this.#stop.abort();
    this.#state = { kind: "ended" };
    await this.#sources.close();
  }

  async #supervise(): Promise<void> {
    for (let attempt = 0; !this.#stop.signal.aborted; ) {
      const running = this.#running;
      if (running !== undefined) {
        const since = this.#deps.clock.now();
        // The one before may finish connections for minutes after the one that serves now has ended.
        await Promise.race([running.ended, this.#takenOver.promise]);
        await this.#upgrades; // two that started at once would be two processes of one pod
        if (this.#running !== running) continue; // another has taken over from it
        this.#running = undefined;
        if (this.#stop.signal.aborted) return;
        this.#becomeDown("process ended");
        if (this.#deps.clock.now() - since > stableMs) attempt = 0;
      }
      if (attempt > 0) await this.#pause(attempt - 1);
      if (this.#stop.signal.aborted) return;
      if (this.#deps.isGone()) return; // its DEL will come
      attempt++;
      try {
        this.#restarts++;
        this.#running = await this.#launch(this.#stop.signal);
      } catch (error) {
        if (!this.#stop.signal.aborted) this.#becomeDown(renderError(error));
      }
    }
  }

  async #launch(signal: AbortSignal, predecessor?: number): Promise<Serving> {
    if (predecessor === undefined) rmSync(this.adminSocket, { force: true });
    // What the one before said last is what people look for.
    if (existsSync(this.logFile)) renameSync(this.logFile, `${this.logFile}.old`);
    try {
      await this.#sources.open();
      const inTime = AbortSignal.any([signal, AbortSignal.timeout(readyWithinMs)]);
      const running = await this.#deps.host().launch(this.#podToServe(), inTime, predecessor);
      this.#becomeReady(running);
      return running;
    } catch (cause) {
      throw this.#notStarted(cause);
    }
  }

  /** Its log goes with a pod that never came up: what it said last is in the error. */
  #notStarted(cause: unknown): MeshError {
    const isLate = cause instanceof Error && cause.name === "TimeoutError";
    const { namespace, name } = this.#pod;
    const said = lastLine(this.logFile);
    const late = isLate ? `: not ready within ${readyWithinMs / 1_000} s` : "";
    const last = said === undefined ? "" : ` (its last words: ${said})`;
    return new MeshError(
      "agent.sidecar.start",
      `start sidecar of ${namespace}/${name}${late}${last}`,
      {
        ...(isLate ? {} : { cause }),
        retryable: true,
      },
    );
  }

  #podToServe(): PodToServe {
    const { adminSocket, logFile } = this;
    return {
      containerId: this.#pod.containerId,
      assignment: {
        netns: this.#pod.netns,
        bootstrap: {
          proxy: proxyNodeOf(this.#pod, this.#record),
          xdsSocket: this.#sources.socket,
          adminSocket,
          trustDomain: this.#deps.trustDomain,
        },
      },
      adminSocket,
      logFile,
      remember: (served) => this.#deps.remember(this.#pod, served),
    };
  }

  #becomeReady(running: Serving): void {
    const { pid } = running.process;
    const worker = running.worker === undefined ? {} : { worker: running.worker };
    this.#state = { kind: "ready", pid, since: this.#deps.clock.now(), ...worker };
    this.#log.info("sidecar ready", { pid, restarts: this.#restarts, ...worker });
  }

  #becomeDown(error: string): void {
    this.#state = { kind: "down", error };
    this.#log.warn("sidecar down", { error, log: this.logFile });
  }

  #pause(attempt: number): Promise<void> {
    const ms = backoffMs(attempt, retry, this.#deps.random);
    return this.#deps.clock.sleep(ms, this.#stop.signal).catch(() => undefined);
  }
}

function lastLine(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n").at(-1)?.slice(0, 500) || undefined;
  } catch {
    return undefined;
  }
}
