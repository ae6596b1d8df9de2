/**
 * Pods that come and go at the same moment, as when a node is drained or boots, are one change of the kernel: one
 * compilation, one nftables transaction, one deletion of links.
 *
 * Who comes while the kernel is busy with the change before waits for the next; who comes alone waits for nothing but
 * the event loop's turn. A change that fails is made again pod by pod, so that nobody fails for another's fault.
 */

import type { Attachment } from "../model/node-view.ts";

export interface PodChange {
  readonly kind: "attach" | "detach";
  readonly attachment: Attachment;
}

/** More than that at once would hold up everything else for a good part of a second. */
const mostAtOnce = 32;

export class PodChanges {
  readonly #commit: (changes: readonly PodChange[]) => void;
  readonly #waiting: (PodChange & PromiseWithResolvers<void>)[] = [];

  /**
   * `commit` makes all of the changes, or throws. One change that it throws for is not made; several are then made one
   * by one, each from what the kernel has by then.
   */
  constructor(commit: (changes: readonly PodChange[]) => void) {
    this.#commit = commit;
  }

  /** Resolves when the change is made. */
  make(change: PodChange): Promise<void> {
    const waiting = { ...change, ...Promise.withResolvers<void>() };
    if (this.#waiting.push(waiting) === 1) setImmediate(() => this.#next());
    return waiting.promise;
  }

  #next(): void {
    const changes = this.#waiting.splice(0, mostAtOnce);
    if (this.#waiting.length > 0) setImmediate(() => this.#next());
    try {
      this.#commit(changes);
      for (const { resolve } of changes) resolve();
    } catch (error) {
      if (changes.length === 1) changes[0]?.reject(error);
      else for (const change of changes) this.#alone(change);
    }
  }

  #alone(change: PodChange & PromiseWithResolvers<void>): void {
    try {
      this.#commit([change]);
      change.resolve();
    } catch (error) {
      change.reject(error);
    }
  }
}
