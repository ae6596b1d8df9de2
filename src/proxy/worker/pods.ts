/** The pods of one worker: from the word that a pod is its own to the last thing that it held of it. */

import { MeshError, renderError } from "../../base/error.ts";
import type { PodAssignment } from "../assignment.ts";
import { CompressorPool } from "../compressor-pool.ts";
import { createSidecar } from "../create-sidecar.ts";
import type { ProxyLimits } from "../environment.ts";
import { servePod } from "../pod-service.ts";
import type { PodSockets } from "../pod-sockets.ts";
import type { Sidecar } from "../sidecar.ts";
import type { WorkerParts } from "./worker.ts";

/**
 * What one pod may have at a time. Less than a process of its own has, so that one cannot take what all live on: with
 * two descriptors for each connection, 64 such pods fit into the million that Linux gives a process.
 */
const podLimits: Partial<ProxyLimits> = {
  maxConnections: 8_192,
  maxRequests: 8_192,
  maxHandshakes: 128,
  maxHeldBytes: 64 * 2 ** 20,
};

export interface WorkerPodStatus {
  readonly id: string;
  /** `namespace/name`. */
  readonly pod: string;
  readonly isReady: boolean;
  readonly connections: number;
}

interface Tenant {
  readonly sidecar: Sidecar;
  /** What is in flight has this long from now on; undefined: the usual time. */
  stop(drainMs?: number): void;
  retire(): void;
  /** Resolves when nothing of it is left. */
  readonly gone: Promise<void>;
}

export class WorkerPods {
  readonly name: string;
  readonly #parts: WorkerParts;
  readonly #socketsOf: (netns: string) => PodSockets & { close(): void };
  readonly #compressors = new CompressorPool();
  readonly #tenants = new Map<string, Tenant>();
  readonly #ended = Promise.withResolvers<void>();
  #isEnding = false;

  constructor(
    name: string,
    parts: WorkerParts,
    socketsOf: (netns: string) => PodSockets & { close(): void },
  ) {
    this.name = name;
    this.#parts = parts;
    this.#socketsOf = socketsOf;
  }

  /** Resolves when there are no pods any more, and will be none. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get status(): readonly WorkerPodStatus[] {
    return [...this.#tenants].map(([id, { sidecar }]) => {
      const { node } = sidecar.runtime.environment;
      return {
        id,
        pod: `${node.namespace}/${node.pod}`,
        isReady: sidecar.isReady,
        connections: sidecar.runtime.connections.size,
      };
    });
  }

  /**
   * Serves a pod until it is told otherwise. `onReady` is called once; rejects where it cannot be served. `abandoned`:
   * at once.
   */
  async serve(
    id: string,
    assignment: PodAssignment & { readonly logFile: string },
    onReady: () => void,
    abandoned: AbortSignal,
  ): Promise<void> {
    if (this.#isEnding) throw refusal(id, "it is about to end");
    if (this.#tenants.has(id)) throw refusal(id, "it is served already");
    const stopped = new AbortController();
    const retired = new AbortController();
    const gone = Promise.withResolvers<void>();
    let drainMs: number | undefined;
    const { visitor, source, descriptorsOf, giveBack } = this.#parts;
    const { bootstrap, netns, predecessor, logFile } = assignment;
    const { log, threshold, accessLog } = visitor.openLog(logFile);
    const sockets = this.#socketsOf(netns);
    const limits = { ...podLimits, ...this.#parts.limits };
    const sidecar = createSidecar(
      { ...this.#parts, log, accessLog, limits, compressors: this.#compressors },
      bootstrap,
      sockets,
    );
    const stop = (ms?: number) => {
      drainMs = ms;
      stopped.abort();
    };
    abandoned.addEventListener("abort", () => stop(0), { once: true });
    this.#tenants.set(id, { sidecar, stop, retire: () => retired.abort(), gone: gone.promise });
    try {
      await servePod(sidecar, {
        bootstrap,
        source,
        ...(predecessor === undefined ? {} : { predecessor }),
        descriptorsOf,
        log: threshold,
        worker: this.name,
        onOpened: () => {},
        onReady: async () => {
          onReady();
          giveBack();
        },
        drain: () => stop(),
        stopped: stopped.signal,
        drainMs: () => drainMs,
        retired: retired.signal,
      });
    } catch (error) {
      log.error("sidecar ends", { error: renderError(error) });
      throw error;
    } finally {
      sidecar.close();
      sockets.close();
      this.#tenants.delete(id);
      gone.resolve();
      this.endIfEmpty();
    }
  }

  /** Resolves when nothing of the pod is left here; none is success. */
  async remove(id: string, drainMs?: number): Promise<void> {
    const tenant = this.#tenants.get(id);
    tenant?.stop(drainMs);
    await tenant?.gone;
  }

  /** Another process serves the pod from now on; false where it is not here. */
  retire(id: string): boolean {
    const tenant = this.#tenants.get(id);
    tenant?.retire();
    return tenant !== undefined;
  }

  /** Resolves when the pod is no longer served here; undefined where it is not. */
  lifeOf(id: string): Promise<void> | undefined {
    return this.#tenants.get(id)?.gone;
  }

  /** Drains all of them, and takes no more. */
  end(): void {
    this.#isEnding = true;
    for (const tenant of this.#tenants.values()) tenant.stop();
    this.endIfEmpty();
  }

  endIfEmpty(): void {
    if (this.#tenants.size > 0) return;
    this.#isEnding = true;
    this.#ended.resolve();
  }
}

function refusal(id: string, why: string): MeshError {
  return new MeshError("proxy.worker.refused", `give the worker pod ${id}: ${why}`, {
    retryable: true,
  });
}
