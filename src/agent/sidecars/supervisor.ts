/**
 * All sidecars of the node, by container: one per pod, whatever number of interfaces it has.
 *
 * Starts, adopts and ends them; keeps spares; keeps their log files small. Which pods have one, and when, is said by
 * whoever attaches pods.
 */

import { mkdirSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { renderError } from "../../base/error.ts";
import { hashHex } from "../../base/hash.ts";
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import { signalProcess } from "../../kernel/process-id.ts";
import type { Attachment, SidecarMode } from "../../model/node-view.ts";
import type { SidecarRecord } from "../state/record.ts";
import { dedicatedProcesses } from "./dedicated.ts";
import type { SidecarHost } from "./host.ts";
import { limitLog } from "./limit-log.ts";
import { Liveness } from "./liveness.ts";
import { Sidecar, type SidecarDeps } from "./sidecar.ts";
import { Slots } from "./slots.ts";
import { SparePool } from "./spare-pool.ts";
import type { MeshUpstream } from "./upstream.ts";
import { type WorkerStatus, Workers } from "./workers.ts";

/** The app has ended before its DEL: what is left to drain is answers under way and telemetry. */
const drainMs = 500;
const logCheckMs = 30_000;
/** Longest path of a unix socket on Linux, without the final zero. */
const maxSocketPath = 107;

export interface SidecarsOptions {
  readonly runDir: string;
  readonly trustDomain: string;
  readonly command: readonly string[];
  readonly spares: number;
  /** Of pods that do not say. */
  readonly mode: SidecarMode;
  /** Processes that pods share in mode `shared`. */
  readonly workers: number;
  /** How long one may leave a question unanswered before it counts as hanging. */
  readonly patienceMs: number;
}

export interface SidecarsDeps {
  readonly mesh: MeshUpstream;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Writes a container's sidecar process down. */
  readonly remember: (pod: Attachment, record: SidecarRecord) => void;
  /** Whether the container's namespace is no longer where it was attached. */
  readonly isGone: (containerId: string) => boolean;
}

export class Sidecars {
  readonly #options: SidecarsOptions;
  readonly #deps: SidecarsDeps;
  readonly #pool: SparePool;
  readonly #liveness: Liveness;
  readonly #dedicated: SidecarHost;
  readonly #workers: Workers;
  readonly #byContainer = new Map<string, Sidecar>();
  /** Booting more processes than there are processors at once makes all of them late. */
  readonly #slots = new Slots(Math.max(2, cpus().length));
  readonly #logTimer: NodeJS.Timeout;

  constructor(options: SidecarsOptions, deps: SidecarsDeps) {
    this.#options = options;
    this.#deps = deps;
    mkdirSync(join(options.runDir, "pods"), { recursive: true });
    this.#pool = new SparePool({
      command: options.command,
      size: options.spares,
      directory: join(options.runDir, "spares"),
      log: deps.log,
    });
    const { clock, log } = deps;
    this.#liveness = new Liveness({ patienceMs: options.patienceMs, clock, log });
    this.#dedicated = dedicatedProcesses(this.#pool, clock, this.#liveness);
    this.#workers = new Workers({
      directory: join(options.runDir, "workers"),
      count: options.workers,
      pool: this.#pool,
      liveness: this.#liveness,
      log,
    });
    this.#pool.refill();
    this.#logTimer = setInterval(() => this.#limitLogs(), logCheckMs).unref();
  }

  get(containerId: string): Sidecar | undefined {
    return this.#byContainer.get(containerId);
  }

  /** The processes that pods share. */
  get workers(): readonly WorkerStatus[] {
    return this.#workers.status;
  }

  get spares(): number {
    return this.#pool.idle;
  }

  /** Resolves when the pod's sidecar is ready; throws with nothing left behind. */
  async start(pod: Attachment, record: SidecarRecord, signal: AbortSignal): Promise<void> {
    const sidecar = this.#make(pod, record);
    try {
      await this.#slots.run(() => sidecar.start(signal), signal);
    } catch (error) {
      await this.end(pod.containerId);
      throw error;
    }
  }

  /** Takes over what an earlier agent left running, or replaces it. */
  async adopt(pod: Attachment, record: SidecarRecord): Promise<void> {
    const sidecar = this.#make(pod, record);
    await sidecar.adopt().catch((error: unknown) => {
      this.#deps.log.error("sidecar is not supervised", {
        pod: `${pod.namespace}/${pod.name}`,
        error: renderError(error),
      });
    });
  }

  /** Ends what an earlier agent started and never finished: nobody was told that it is there. */
  async discard(pod: Attachment, { process, worker }: SidecarRecord): Promise<void> {
    if (process !== undefined) {
      if (worker === undefined) signalProcess(process, "SIGKILL");
      else await this.#workers.discard(pod.containerId, process);
    }
    rmSync(this.directoryOf(pod), { recursive: true, force: true });
  }

  /** The container's first interface is gone, this one stays: what is written down of the sidecar is written there. */
  handOver(pod: Attachment): void {
    this.#byContainer.get(pod.containerId)?.moveTo(pod);
  }

  /** New processes take over from all that run, one after the other. Answers what could not be, by pod. */
  async upgrade(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const failed = new Map<string, string>();
    this.#workers.renew();
    for (const sidecar of this.#byContainer.values()) {
      try {
        await this.#slots.run(() => sidecar.upgrade(signal), signal);
      } catch (error) {
        failed.set(sidecar.pod, renderError(error));
      }
    }
    return failed;
  }

  /** Ends the container's sidecar; none is success. */
  async end(containerId: string): Promise<void> {
    const sidecar = this.#byContainer.get(containerId);
    if (sidecar === undefined) return;
    await sidecar.end(drainMs);
    this.#workers.forget(containerId);
    this.#byContainer.delete(containerId);
  }

  /** Leaves the pods' sidecars running for the next agent, and ends the spares. */
  async leave(): Promise<void> {
    clearInterval(this.#logTimer);
    this.#pool.close();
    this.#liveness.close();
    await Promise.all([...this.#byContainer.values()].map((each) => each.leave()));
  }

  /** Runtime files of a container. Socket paths are short by law: a long id gives way to a hash of it. */
  directoryOf(pod: Attachment): string {
    const directory = join(this.#options.runDir, "pods", pod.containerId);
    const fits = `${directory}/admin.sock`.length <= maxSocketPath;
    return fits ? directory : join(this.#options.runDir, "pods", hashHex(pod.containerId, 16));
  }

  #make(pod: Attachment, record: SidecarRecord): Sidecar {
    const { process: _, worker: __, ...lasting } = record;
    const deps: SidecarDeps = {
      ...this.#deps,
      host: () => (this.#modeOf(record) === "shared" ? this.#workers : this.#dedicated),
      hostOf: ({ worker }) => (worker === undefined ? this.#dedicated : this.#workers),
      trustDomain: this.#options.trustDomain,
      isGone: () => this.#deps.isGone(pod.containerId),
      remember: (home, { process, worker }) =>
        this.#deps.remember(home, {
          ...lasting,
          process,
          ...(worker === undefined ? {} : { worker }),
        }),
    };
    const sidecar = new Sidecar(this.directoryOf(pod), pod, record, deps);
    this.#byContainer.set(pod.containerId, sidecar);
    return sidecar;
  }

  /** A gateway has a process of its own: it listens on ports of users' choice, and serves others than its pod. */
  #modeOf({ mode, gateway }: SidecarRecord): SidecarMode {
    return gateway === true ? "dedicated" : (mode ?? this.#options.mode);
  }

  #limitLogs(): void {
    for (const { logFile } of [...this.#byContainer.values(), ...this.#workers.status]) {
      limitLog(logFile, this.#deps.log);
    }
  }
}
