/**
 * `heddle names`: the name server of one node, a process of its own so that lookups do not notice when its agent is
 * restarted or upgraded.
 *
 * The agent starts it, tells it the names of each view (control.ts), and its successors adopt it. It listens when it
 * has its first names: a resolver that is told nothing asks again, one that is told "server failure" gives up; so that
 * nobody waits for ever it listens after ten seconds without any, too. A replacement goes on with the very sockets of
 * the one before, once it has the same names, so there is no moment in which nobody listens and nothing that is lost;
 * where the kernel does not let it have them it shares the port.
 */

import { backoffMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import { Scope } from "../../base/scope.ts";
import { type NamedView, type NameTable, nameTable } from "../../core/dns/name-table.ts";
import type { NameServerAddress } from "../../rpc/dns-query.ts";
import { renderText } from "../../telemetry/exposition.ts";
import { MetricRegistry } from "../../telemetry/registry.ts";
import { serveControl } from "./control.ts";
import { dnsMetrics } from "./metrics.ts";
import { type NamesUpdate, updated } from "./names-update.ts";
import {
  type NameServer,
  type NameServerOptions,
  type SharedSockets,
  serveNames,
} from "./server.ts";
import { forwardTo } from "./upstream.ts";

export interface NamesOptions {
  /** Those that the node has; the others, when it has them. Lookups are said to reach it with the first. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** Where the agent reaches it. */
  readonly control: string;
  /** Servers for names outside the cluster, in the order in which they are asked; none: there are no such names. */
  readonly upstreams: readonly NameServerAddress[];
  /** The process that this one replaces. */
  readonly predecessor?: number;
  /** Given back to agents, who compare it with how they would start one. */
  readonly tag: string;
}

export interface NamesDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What a process has bound to an address and port. */
  readonly shareSockets: (pid: number, address: string, port: number) => SharedSockets;
}

const listenRetry = { baseMs: 20, maxMs: 1_000 };
const firstNamesWithinMs = 10_000;

/** Runs until the signal aborts; what has come in by then is answered. */
export async function runNames(
  options: NamesOptions,
  deps: NamesDeps,
  signal: AbortSignal,
): Promise<void> {
  await using scope = new Scope();
  const named = Promise.withResolvers<void>();
  const registry = new MetricRegistry();
  let known: { readonly version: number; readonly view: NamedView } | undefined;
  let isListening = false;

  const control = await serveControl(options.control, {
    state: () => {
      return { pid: process.pid, tag: options.tag, version: known?.version ?? 0, isListening };
    },
    update: (text) => {
      const update = JSON.parse(text) as NamesUpdate;
      const view = updated(known, update);
      if (view === undefined) return false;
      known = { version: update.version, view };
      named.resolve();
      return true;
    },
    metrics: () => renderText(registry),
  });
  scope.onExit(async () => control[Symbol.asyncDispose]());

  await Promise.race([named.promise, deps.clock.sleep(firstNamesWithinMs, signal).catch(() => {})]);
  const table = (): NameTable | undefined =>
    known === undefined ? undefined : nameTable(known.view);
  const upstream =
    options.upstreams.length === 0 ? {} : { upstream: forwardTo(options.upstreams, deps.clock) };
  const metrics = dnsMetrics(registry);
  const listening = options.addresses.map(async (address) => {
    const how = { address, port: options.port, table, metrics, log: deps.log, ...upstream };
    const server = await untilListening(how, options.predecessor, deps, signal);
    if (server === undefined) return;
    scope.onExit(async () => server[Symbol.asyncDispose]());
    isListening ||= address === options.addresses[0];
  });
  await aborted(signal);
  await Promise.all(listening);
}

/** An address comes with a plan of the node's, or never. Undefined where the signal aborts before. */
async function untilListening(
  how: NameServerOptions,
  predecessor: number | undefined,
  deps: NamesDeps,
  signal: AbortSignal,
): Promise<NameServer | undefined> {
  const { address, port } = how;
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      // Tried once: if they are of no use, sockets of its own may be.
      const isSharing = predecessor !== undefined && attempt === 0;
      const shared = isSharing ? deps.shareSockets(predecessor, address, port) : {};
      const server = await serveNames({ ...how, shared });
      deps.log.info("names are served", { address, port, pid: process.pid });
      return server;
    } catch (error) {
      // Only later tries are worth a line, and one of them says it.
      if (attempt === 5) deps.log.warn("no names are served yet", { error: renderError(error) });
      const ms = backoffMs(attempt, listenRetry, deps.random);
      await deps.clock.sleep(ms, signal).catch(() => undefined);
    }
  }
  return undefined;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
