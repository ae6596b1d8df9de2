/**
 * The pod runtime of a lab: runs, on each host, the pods that are bound to it, and nothing else.
 *
 * It plays the kubelet's part of a pod's life. It watches Pods; one that has a node is started there; one that has a
 * deletion timestamp is stopped, disconnected and then removed for good; one that is gone from the API is stopped too.
 * A pod is known by its uid, so a new pod of an old name is another pod.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Pod } from "../../api/k8s/core.ts";
import { MeshError, renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { ObjectClient } from "../../rpc/object-client.ts";
import { PodReporter } from "./pod-reporter.ts";
import { type PodHost, PodRun } from "./pod-run.ts";

export interface RuntimeOptions {
  readonly client: ObjectClient;
  /** By name of node. */
  readonly hosts: ReadonlyMap<string, PodHost>;
  /** Deletes a stopped pod's object at once (grace period zero). */
  readonly removePod: (namespace: string, name: string, uid: string) => Promise<void>;
  readonly log: Log;
}

const retryMs = 100;

export class PodRuntime {
  readonly #options: RuntimeOptions;
  readonly #runs = new Map<string, PodRun>();
  readonly #removing = new Set<string>();

  constructor(options: RuntimeOptions) {
    this.#options = options;
  }

  /** Follows the API until aborted; pods go on running when it returns. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const event of this.#options.client.watch<Pod>("Pod", signal)) {
      switch (event.type) {
        case "synced": {
          const present = new Set(event.objects.map(({ metadata }) => metadata.uid));
          for (const [uid, run] of this.#runs) if (!present.has(uid)) run.stop();
          for (const pod of event.objects) this.#see(pod, signal);
          break;
        }
        case "added":
        case "modified":
          this.#see(event.object, signal);
          break;
        case "deleted":
          this.#runs.get(event.object.metadata.uid ?? "")?.stop();
          break;
      }
    }
  }

  /** Kills all pods' processes at once and leaves the rest to the lab's sweep. */
  async abandon(): Promise<void> {
    const runs = [...this.#runs.values()];
    for (const run of runs) run.abandon();
    await Promise.allSettled(runs.map(({ done }) => done));
  }

  #see(pod: Pod, signal: AbortSignal): void {
    const uid = pod.metadata.uid ?? "";
    const host = this.#options.hosts.get(pod.spec.nodeName ?? "");
    if (host === undefined) return;
    if (pod.metadata.deletionTimestamp !== undefined) {
      void this.#remove(pod, signal);
      return;
    }
    if (this.#runs.has(uid)) return;
    const reporter = new PodReporter(this.#options.client, pod, this.#options.log);
    const run = new PodRun(pod, host, (containers) => reporter.report(containers));
    this.#runs.set(uid, run);
    run.done
      .catch((error) => {
        const { namespace, name } = pod.metadata;
        this.#options.log.error("pod broke off", {
          pod: `${namespace}/${name}`,
          error: renderError(error),
        });
      })
      .finally(() => {
        reporter.close();
        this.#runs.delete(uid);
      });
  }

  async #remove(pod: Pod, signal: AbortSignal): Promise<void> {
    const { uid = "", namespace = "default", name } = pod.metadata;
    if (this.#removing.has(uid)) return;
    this.#removing.add(uid);
    const run = this.#runs.get(uid);
    run?.stop();
    await run?.done.catch(() => {}); // said by #see
    while (!signal.aborted) {
      try {
        await this.#options.removePod(namespace, name, uid);
        break;
      } catch (error) {
        if (error instanceof MeshError && error.code === "api.absent") break;
        this.#options.log.warn("pod not removed", {
          pod: `${namespace}/${name}`,
          error: renderError(error),
        });
        await delay(retryMs, undefined, { signal }).catch(() => {});
      }
    }
    this.#removing.delete(uid);
  }
}
