/**
 * Sidecars that share processes: a fixed number of workers, each the sidecar of many pods.
 *
 * A pod goes to the worker with the fewest, and stays with that one's name for its life: also when the worker dies, so
 * that a pod whose traffic kills workers takes down the same neighbours again and never those of another. A worker is
 * started with its first pod and ends by itself with its last; it outlives the agent like any sidecar.
 *
 * An upgrade makes new processes for the workers' names, and the pods move one by one; an old process ends when what it
 * had in flight is finished.
 *
 * Not here: when a pod is moved or started again (sidecar.ts), and the words that a worker understands
 * (worker-client.ts).
 */

import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { findProcess, isAlive, type ProcessId, signalProcess } from "../../kernel/process-id.ts";
import { proxyUid } from "../../model/names.ts";
import { within } from "../within.ts";
import { hireSpare } from "./hire-spare.ts";
import type { PodToServe, Serving, SidecarHost } from "./host.ts";
import type { Liveness } from "./liveness.ts";
import { removeQuietly, type SparePool } from "./spare-pool.ts";
import {
  findPod,
  givePod,
  removePod,
  retirePod,
  type ServedPod,
  WorkerGone,
} from "./worker-client.ts";

export interface WorkersOptions {
  /** Sockets and logs of workers. */
  readonly directory: string;
  readonly count: number;
  readonly pool: SparePool;
  readonly liveness: Liveness;
  readonly log: Log;
}

export interface WorkerStatus {
  readonly name: string;
  readonly pid: number;
  readonly pods: number;
  /** How often its process ended while it had pods. */
  readonly restarts: number;
  readonly logFile: string;
}

interface Worker {
  readonly process: ProcessId;
  readonly socket: string;
}

/** A worker's name, and the process that has it now. */
interface Slot {
  readonly name: string;
  readonly logFile: string;
  /** By container id, with the process that was given it last; undefined: none was yet. */
  readonly pods: Map<string, ProcessId | undefined>;
  worker: Promise<Worker> | undefined;
  pid: number;
  restarts: number;
}

/** A cold start on a busy machine takes a few seconds. */
const startWithinMs = 20_000;

export class Workers implements SidecarHost {
  readonly #options: WorkersOptions;
  readonly #slots: readonly Slot[];
  /** Processes that an earlier agent started, each watched once; all are met at start, when no number is used again. */
  readonly #adopted = new Set<number>();

  constructor(options: WorkersOptions) {
    this.#options = options;
    const { directory, count } = options;
    mkdirSync(directory, { recursive: true });
    removeDeadSockets(directory);
    this.#slots = Array.from({ length: count }, (_, at) => ({
      name: `shared-${at + 1}`,
      logFile: join(directory, `shared-${at + 1}.log`),
      pods: new Map(),
      worker: undefined,
      pid: 0,
      restarts: 0,
    }));
  }

  get status(): readonly WorkerStatus[] {
    return this.#slots
      .filter(({ worker }) => worker !== undefined)
      .map(({ name, pid, pods, restarts, logFile }) => ({
        ...{ name, pid, restarts, logFile },
        pods: pods.size,
      }));
  }

  async launch(pod: PodToServe, signal: AbortSignal, predecessor?: number): Promise<Serving> {
    const id = pod.containerId;
    const slot = this.#slotOf(id);
    const isNew = !slot.pods.has(id);
    if (isNew) slot.pods.set(id, undefined);
    try {
      return await this.#launchIn(slot, pod, signal, predecessor);
    } catch (error) {
      if (isNew) this.#leave(slot, id);
      throw error;
    }
  }

  async #launchIn(
    slot: Slot,
    pod: PodToServe,
    signal: AbortSignal,
    predecessor: number | undefined,
  ): Promise<Serving> {
    const { assignment, logFile, containerId: id } = pod;
    const over = predecessor === undefined ? {} : { predecessor };
    for (let tries = 0; ; tries++) {
      const starting = this.#workerOf(slot);
      const worker = await within(starting, signal, () => signal.reason);
      signal.throwIfAborted();
      pod.remember({ process: worker.process, worker: slot.name });
      try {
        const served = await givePod(
          worker.socket,
          id,
          { ...assignment, ...over, logFile },
          signal,
        );
        return this.#serving(slot, worker, id, served);
      } catch (error) {
        // It ended between two pods, or died just now: the next process is another.
        if (error instanceof WorkerGone && tries === 0) {
          this.#lose(slot, starting);
          continue;
        }
        // Whoever gave up may have missed by a moment that it is served.
        await removePod(worker.socket, id, 0);
        throw error;
      }
    }
  }

  async adopt(
    { containerId: id }: PodToServe,
    { process, worker: name }: Parameters<SidecarHost["adopt"]>[1],
  ): Promise<Serving | undefined> {
    const slot = this.#slots.find((each) => each.name === name) ?? this.#slotOf(id);
    slot.pods.set(id, undefined);
    if (!isAlive(process)) return undefined;
    const worker = { process, socket: this.#socketOf(process) };
    const served = await findPod(worker.socket, id);
    if (served === undefined) return undefined;
    this.#adoptWorker(slot, worker, served);
    return this.#serving(slot, worker, id, served);
  }

  /** An upgrade that the agent before did not finish left two processes of one name: the first that is met keeps it. */
  #adoptWorker(slot: Slot, worker: Worker, { ended }: ServedPod): void {
    const { process, socket } = worker;
    if (!this.#adopted.has(process.pid)) {
      this.#adopted.add(process.pid);
      this.#options.liveness.watch(process, { socketPath: socket, path: "/status" });
    }
    if (slot.worker !== undefined) return;
    const known = Promise.resolve(worker);
    slot.worker = known;
    slot.pid = process.pid;
    void ended.then(() => {
      if (!isAlive(process)) this.#lose(slot, known);
    });
  }

  /** Pods that are launched from now on get new processes; those that are served stay where they are. */
  renew(): void {
    for (const slot of this.#slots) slot.worker = undefined;
  }

  /** The pod is gone, whether or not a process served it to the end: no worker's name waits for it any more. */
  forget(containerId: string): void {
    const slot = this.#slots.find(({ pods }) => pods.has(containerId));
    if (slot !== undefined) this.#leave(slot, containerId);
  }

  /** Ends what an earlier agent gave a worker; resolves when nothing of it is left there. */
  async discard(containerId: string, process: ProcessId): Promise<void> {
    if (!isAlive(process)) return;
    const done = await removePod(this.#socketOf(process), containerId, 0);
    if (!done) signalProcess(process, "SIGKILL");
  }

  #serving(slot: Slot, worker: Worker, id: string, { ended }: ServedPod): Serving {
    const { process, socket } = worker;
    slot.pods.set(id, process);
    return {
      process,
      worker: slot.name,
      ended,
      retire: () => {
        void retirePod(socket, id);
        // Else it has moved to another process of the same name.
        if (slot.pods.get(id) === process) this.#leave(slot, id);
      },
      end: async (drainMs) => {
        this.#leave(slot, id);
        if (await removePod(socket, id, drainMs)) return;
        this.#options.log.error("worker is stuck, and killed", { worker: slot.name });
        signalProcess(process, "SIGKILL");
        await ended;
      },
    };
  }

  /** The pod is no longer one of the worker's; without any, the worker's name waits for another process. */
  #leave(slot: Slot, id: string): void {
    slot.pods.delete(id);
    if (slot.pods.size === 0) slot.worker = undefined;
  }

  #slotOf(id: string): Slot {
    const own = this.#slots.find(({ pods }) => pods.has(id));
    const emptiest = () => this.#slots.toSorted((a, b) => a.pods.size - b.pods.size)[0];
    const slot = own ?? emptiest();
    if (slot === undefined) throw new MeshError("agent.sidecar.spawn", "there are no workers");
    return slot;
  }

  #workerOf(slot: Slot): Promise<Worker> {
    if (slot.worker !== undefined) return slot.worker;
    const starting = this.#start(slot);
    slot.worker = starting;
    starting.then(
      ({ ended }) => void ended.then(() => this.#lose(slot, starting)),
      () => this.#lose(slot, starting),
    );
    return starting;
  }

  async #start(slot: Slot): Promise<Worker & { readonly ended: Promise<void> }> {
    const { pool, liveness, log } = this.#options;
    const assignmentOf = (process: ProcessId) => {
      const socket = this.#socketOf(process);
      rmSync(socket, { force: true });
      return { uid: proxyUid, worker: { name: slot.name, socket } };
    };
    const spare = await hireSpare(
      pool,
      { logFile: slot.logFile, assignmentOf },
      AbortSignal.timeout(startWithinMs),
    );
    const { process } = spare;
    const socket = this.#socketOf(process);
    slot.pid = process.pid;
    log.info("worker started", { worker: slot.name, pid: process.pid });
    const ended = spare.ended.then(() => removeQuietly(socket));
    liveness.watch(process, { socketPath: socket, path: "/status" });
    return { process, socket, ended };
  }

  /** The process is gone; another may have its name already. */
  #lose(slot: Slot, worker: Promise<Worker>): void {
    if (slot.worker !== worker) return;
    slot.worker = undefined;
    if (slot.pods.size === 0) return;
    slot.restarts++;
    this.#options.log.warn("worker ended", { worker: slot.name, pods: slot.pods.size });
  }

  #socketOf({ pid }: ProcessId): string {
    return join(this.#options.directory, `${pid}.sock`);
  }
}

/** A worker may not remove its own, for the directory is root's; that of one which ended while no agent ran is left. */
function removeDeadSockets(directory: string): void {
  for (const name of readdirSync(directory)) {
    const pid = /^(\d+)\.sock$/.exec(name)?.[1];
    if (pid === undefined || findProcess(Number(pid)) !== undefined) continue;
    rmSync(join(directory, name), { force: true });
  }
}
