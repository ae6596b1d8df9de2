/**
 * One pod's sidecar from its assignment to its end, in whichever process it is.
 *
 * Desks open first, because a port that is taken must be told at once; with a predecessor they stay its until the first
 * complete configuration is in force. From there on only the two signals end it. Whatever it opened is closed when the
 * promise settles, however that comes: a process that serves many pods goes on.
 */

import { renderError } from "../base/error.ts";
import type { LogThreshold } from "../base/log.ts";
import type { ProxyBootstrap } from "./assignment.ts";
import type { ConfigSource } from "./config/source.ts";
import { openDesks, sortSockets } from "./desks.ts";
import type { Sidecar } from "./sidecar.ts";
import { inherit, noLegacy } from "./succession.ts";

export interface PodService {
  readonly bootstrap: ProxyBootstrap;
  readonly source: (bootstrap: ProxyBootstrap) => ConfigSource;
  readonly predecessor?: number;
  /** Makes a descriptor of the process with this number one of ours. */
  readonly descriptorsOf: (pid: number) => (descriptor: number) => number;
  readonly log: LogThreshold;
  /** Name of the shared worker that serves it. */
  readonly worker?: string;
  /** What needs rights is open. */
  readonly onOpened: () => void;
  /** A complete configuration is in force. */
  readonly onReady: () => Promise<void>;
  /** What `POST /drain` on the admin port does. */
  readonly drain: () => void;
  /** Ends it; what is in flight has a while. */
  readonly stopped: AbortSignal;
  /** Asked when it is told to end; undefined: the usual time. */
  readonly drainMs?: () => number | undefined;
  /** A successor has taken over; what is here finishes. */
  readonly retired: AbortSignal;
}

/** Resolves when it has ended; rejects, with everything closed, where it cannot begin. */
export async function servePod(sidecar: Sidecar, service: PodService): Promise<void> {
  const { bootstrap, predecessor, stopped, retired } = service;
  const { log } = sidecar.runtime.environment;
  const legacy =
    predecessor === undefined
      ? noLegacy
      : await inherit(bootstrap.adminSocket, service.descriptorsOf(predecessor));
  const sockets = sortSockets(legacy.sockets);
  sidecar.inherit({ ...legacy, sockets: sockets.captures });
  const { drain, worker } = service;
  const actions = { drain, log: service.log, ...(worker === undefined ? {} : { worker }) };
  const desks = openDesks(sidecar, bootstrap, actions, sockets.desks);
  try {
    if (predecessor === undefined) await desks.open();
    service.onOpened();
    await followUntilEnd(sidecar, service, async () => {
      if (predecessor !== undefined) await desks.open();
      log.info("sidecar ready", predecessor === undefined ? {} : { predecessor });
      await service.onReady();
    });
    if (retired.aborted) {
      log.info("sidecar retires");
      desks.leave();
      await sidecar.retire(stopped);
    } else {
      log.info("drain sidecar");
      await sidecar.drain(service.drainMs?.());
    }
  } finally {
    desks.close();
    sidecar.close();
  }
}

/** Resolves when told to end; rejects where the configuration's source ends before the first was in force. */
async function followUntilEnd(
  sidecar: Sidecar,
  { source, bootstrap, stopped, retired }: PodService,
  onReady: () => Promise<void>,
): Promise<void> {
  const ended = AbortSignal.any([stopped, retired]);
  await new Promise<void>((resolve, reject) => {
    let isReady = false;
    const ready = async () => {
      if (isReady) return;
      isReady = true;
      await onReady();
    };
    void aborted(ended).then(resolve);
    const following = sidecar.follow(source(bootstrap), ended, () => ready().catch(reject));
    following.catch((error: unknown) => {
      // The last configuration stays in force: once there was one, only a signal ends a sidecar.
      const { log } = sidecar.runtime.environment;
      if (isReady) log.error("lose configuration source", { reason: renderError(error) });
      else reject(error);
    });
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
