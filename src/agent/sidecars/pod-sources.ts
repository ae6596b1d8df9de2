/**
 * What a pod's sidecar asks for: its configuration, passed through from the server, and its certificate, both on one
 * socket in the pod's directory. They belong to the pod and not to the process, and stay through replacements.
 *
 * A sidecar that was adopted serves without them, by what it has; so where the socket cannot be opened then (no
 * descriptors, a full disk), it is tried again until it can.
 */

import { chmodSync, chownSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { backoffMs } from "../../base/backoff.ts";
import { renderError } from "../../base/error.ts";
import { proxyUid } from "../../model/names.ts";
import { PodSecrets, type PodSecretsDeps } from "./pod-secrets.ts";
import type { PodReference } from "./upstream.ts";

const retry = { baseMs: 100, maxMs: 5_000 };

export class PodSources {
  readonly socket: string;
  readonly #directory: string;
  readonly #pod: PodReference;
  readonly #deps: PodSecretsDeps;
  readonly #secrets = new PodSecrets();
  readonly #closed = new AbortController();
  /** Rejects where it could not be opened; then the next call tries again. */
  #relay: Promise<AsyncDisposable> | undefined;

  constructor(directory: string, pod: PodReference, spiffeId: string, deps: PodSecretsDeps) {
    this.socket = join(directory, "xds.sock");
    this.#directory = directory;
    this.#pod = pod;
    this.#deps = deps;
    void this.#secrets.keep(pod, spiffeId, deps, this.#closed.signal);
  }

  /** Resolves when the sidecar can connect; throws where the socket cannot be opened. */
  async open(): Promise<void> {
    this.#closed.signal.throwIfAborted();
    const opening = this.#relay ?? this.#open();
    this.#relay = opening;
    try {
      await opening;
    } catch (error) {
      if (this.#relay === opening) this.#relay = undefined;
      throw error;
    }
  }

  /** Tries until it is open or closed for good; resolves after the first try. */
  async openByAndBy(): Promise<void> {
    await this.open().catch((error: unknown) => {
      this.#warn(error);
      void this.#tryAgain();
    });
  }

  /** For good. */
  async close(): Promise<void> {
    this.#closed.abort();
    const relay = await this.#relay?.catch(() => undefined);
    this.#relay = undefined;
    await relay?.[Symbol.asyncDispose]();
  }

  async #tryAgain(): Promise<void> {
    const { signal } = this.#closed;
    const { clock, random } = this.#deps;
    for (let attempt = 0; ; attempt++) {
      await clock.sleep(backoffMs(attempt, retry, random), signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        return await this.open();
      } catch (error) {
        if (!signal.aborted) this.#warn(error);
      }
    }
  }

  async #open(): Promise<AsyncDisposable> {
    mkdirSync(this.#directory, { recursive: true });
    chmodSync(this.#directory, 0o700);
    giveToSidecar(this.#directory);
    rmSync(this.socket, { force: true });
    const relay = await this.#deps.mesh.relay(this.#pod, this.socket, this.#secrets);
    giveToSidecar(this.socket);
    return relay;
  }

  #warn(error: unknown): void {
    const fields = { socket: this.socket, error: renderError(error) };
    this.#deps.log.warn("sidecar's configuration is not passed on yet", fields);
  }
}

/** Only root and the sidecar's user reach its sockets. Tests without root run sidecars as themselves. */
function giveToSidecar(path: string): void {
  if (process.getuid?.() === 0) chownSync(path, proxyUid, proxyUid);
}
