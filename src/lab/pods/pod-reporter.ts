/**
 * Keeps a pod's status in the API equal to what the runtime last said: newest wins, one request at a time, tried again
 * while the server is away.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Pod } from "../../api/k8s/core.ts";
import { MeshError, renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { ObjectClient } from "../../rpc/object-client.ts";
import { type ContainerState, podStatus } from "./status.ts";

const firstRetryMs = 20;
const longestRetryMs = 500;

export class PodReporter {
  readonly #client: ObjectClient;
  readonly #pod: Pod;
  readonly #log: Log;
  readonly #startTime = new Date().toISOString();
  readonly #stop = new AbortController();
  #latest: readonly ContainerState[] | undefined;
  #sending = false;

  constructor(client: ObjectClient, pod: Pod, log: Log) {
    this.#client = client;
    this.#pod = pod;
    this.#log = log;
  }

  report(containers: readonly ContainerState[]): void {
    this.#latest = containers;
    if (!this.#sending) void this.#send();
  }

  close(): void {
    this.#stop.abort();
  }

  async #send(): Promise<void> {
    this.#sending = true;
    const signal = this.#stop.signal;
    let retryMs = firstRetryMs;
    while (this.#latest !== undefined && !signal.aborted) {
      const sent = this.#latest;
      const { namespace = "default", name } = this.#pod.metadata;
      const status = podStatus(sent, this.#startTime, new Date().toISOString());
      try {
        await this.#client.patchStatus("Pod", namespace, name, status);
        retryMs = firstRetryMs;
        if (this.#latest === sent) this.#latest = undefined;
      } catch (error) {
        if (error instanceof MeshError && error.code === "api.absent") break; // nobody left to tell
        this.#log.debug("pod status not written", { pod: name, error: renderError(error) });
        await delay(retryMs, undefined, { signal }).catch(() => {});
        retryMs = Math.min(longestRetryMs, retryMs * 2);
      }
    }
    this.#sending = false;
  }
}
