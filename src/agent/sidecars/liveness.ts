/**
 * Finds processes that hang: one that neither answers nor dies serves its pods no more, and nobody would replace it. It
 * is killed, and then replaced like any that died.
 *
 * A process counts as alive for whatever it answers: what is asked for is a sign of its event loop, which a sidecar
 * gives within 0.13 s under twenty times the load that it can bear (test/netns/overload.test.ts). Where nobody listens
 * it is not this that is wrong, and where this agent itself stood still nothing is known: the time is counted in parts,
 * and what came in during a long one is read before the next.
 *
 * A process that is stopped by hand, as debuggers do, hangs as well.
 */

import { get } from "node:http";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { isAlive, type ProcessId, signalProcess } from "../../kernel/process-id.ts";

export interface LivenessOptions {
  /** How long a question may stay unanswered. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Where a process answers questions about itself. */
export interface Desk {
  readonly socketPath: string;
  readonly path: string;
}

/** Of the patience: the pause between questions, and what is waited for an answer at a time. */
const parts = 4;

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #closed = new AbortController();

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** Until the process has ended, this is closed, or what it returns is called. */
  watch(process: ProcessId, desk: Desk): () => void {
    const over = new AbortController();
    void this.#watch(process, desk, AbortSignal.any([over.signal, this.#closed.signal]));
    return () => over.abort();
  }

  /** Whoever watches from now on is another agent. */
  close(): void {
    this.#closed.abort();
  }

  async #watch(process: ProcessId, desk: Desk, signal: AbortSignal): Promise<void> {
    const { patienceMs } = this.#options;
    while ((await this.#part(signal)) && isAlive(process)) {
      if (await this.#answers(desk, signal)) continue;
      if (signal.aborted) return;
      const fields = { pid: process.pid, patienceMs, socket: desk.socketPath };
      this.#options.log.error("sidecar process hangs, and is killed", fields);
      signalProcess(process, "SIGKILL");
      return;
    }
  }

  async #answers(desk: Desk, signal: AbortSignal): Promise<boolean> {
    const asking = new AbortController();
    let isAnswered = false;
    const asked = ask(desk, asking.signal).then(() => {
      isAnswered = true;
    });
    try {
      for (let part = 0; part < parts && !isAnswered && !signal.aborted; part++) {
        await Promise.race([asked, this.#part(signal)]);
      }
      return isAnswered;
    } finally {
      asking.abort();
    }
  }

  /** False where the watch is over. */
  #part(signal: AbortSignal): Promise<boolean> {
    const { clock, patienceMs } = this.#options;
    return clock.sleep(patienceMs / parts, signal).then(
      () => true,
      () => false,
    );
  }
}

/** Resolves with whatever sign of life there is, and where nobody can be asked; never rejects. */
function ask({ socketPath, path }: Desk, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // A connection of its own, since one that is kept open may be to the process before.
    const sent = get({ socketPath, path, agent: false, signal }, (response) => {
      response.resume();
      resolve();
    });
    sent.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EAGAIN") resolve(); // that one says that its queue is full: it takes no connections
    });
    sent.on("socket", (socket) => socket.unref());
  });
}
