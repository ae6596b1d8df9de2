/**
 * Takes part in the server's checks of the network: listens when told to prepare, probes when told to, and says at the
 * end what it has seen.
 *
 * Orders are whole, as with taps: a check that is no longer ordered is over, whatever it was doing. Each phase is begun
 * once and reported until the server orders the next, so that a lost report loses nothing.
 */

import { renderError } from "../../base/error.ts";
import { type WayTo, waysFrom } from "../../core/topology/ways.ts";
import { readCounters } from "../../kernel/protocol-counters.ts";
import type {
  CheckOrder,
  CheckPeer,
  CheckProgress,
  CounterIncreases,
  NameLookups,
  PathProbe,
} from "../../model/network-check.ts";
import type { NodeView } from "../../model/node-view.ts";
import type { NodeParts } from "../node-parts.ts";
import type { ConnectionLog } from "./connection-log.ts";
import { tryLookups } from "./lookups.ts";
import { nodeEvidence, uplinkOf } from "./node-evidence.ts";
import { PathProbes } from "./path-probes.ts";

/** Each node probes so many: the next ones in the ring of names. So each is probed by as many. */
const maxProbed = 32;

export interface CheckOptions {
  readonly agentSocket: string;
  /** Somebody answers names on this node; and has servers for names outside the cluster. */
  readonly names: { readonly isServed: boolean; readonly hasUpstream: boolean };
}

interface Running {
  readonly id: string;
  readonly view: NodeView;
  readonly probes: PathProbes;
  readonly before: CounterIncreases;
  sent?: Promise<{ readonly probes: readonly PathProbe[]; readonly names?: NameLookups }>;
  isConcluding?: true;
  progress: CheckProgress;
}

export class NetworkChecks {
  readonly #parts: NodeParts;
  readonly #options: CheckOptions;
  readonly #connections: ConnectionLog;
  readonly #running = new Map<string, Running>();

  constructor(parts: NodeParts, options: CheckOptions, connections: ConnectionLog) {
    this.#parts = parts;
    this.#options = options;
    this.#connections = connections;
  }

  get isOn(): boolean {
    return this.#running.size > 0;
  }

  follow(orders: readonly CheckOrder[]): void {
    const wanted = new Set(orders.map(({ id }) => id));
    for (const [id, { probes }] of this.#running) {
      if (wanted.has(id)) continue;
      this.#running.delete(id);
      probes.close();
    }
    for (const { id, phase, peers } of orders) {
      const running = this.#running.get(id) ?? this.#prepare(id);
      if (running === undefined) continue; // nothing is known of the network yet
      if (phase === "probe") this.#probe(running, peers);
      if (phase === "conclude") this.#conclude(running);
    }
  }

  /** How far each is. */
  take(): readonly CheckProgress[] {
    return [...this.#running.values()].map(({ progress }) => progress);
  }

  close(): void {
    this.follow([]);
  }

  #prepare(id: string): Running | undefined {
    const view = this.#parts.dataplane.views.get();
    if (view === undefined) return undefined;
    const uplink = uplinkOf(this.#parts);
    const probes = new PathProbes(
      Number.parseInt(id, 16),
      waysFrom(view),
      uplink,
      this.#parts.clock,
    );
    const progress = { check: id, phase: "prepared", port: probes.port } as const;
    const running: Running = { id, view, probes, before: readCounters(), progress };
    this.#running.set(id, running);
    return running;
  }

  #probe(running: Running, peers: readonly CheckPeer[]): void {
    if (running.sent !== undefined) return;
    const { id, view, probes } = running;
    const { isServed, hasUpstream } = this.#options.names;
    running.sent = Promise.all([
      probes.run(nextInRing(waysFrom(view), view.node), peers),
      isServed ? tryLookups(id, hasUpstream, this.#parts.clock) : undefined,
    ]).then(([sent, names]) => ({ probes: sent, ...(names === undefined ? {} : { names }) }));
    running.sent.then(
      () => {
        running.progress = { check: id, phase: "probed" };
      },
      (error: unknown) => this.#failed(running, error),
    );
  }

  #conclude(running: Running): void {
    if (running.isConcluding) return;
    running.isConcluding = true;
    const { id, view, probes, before } = running;
    const seen = async (): Promise<void> => {
      const sent = await running.sent;
      const itself = await nodeEvidence(this.#parts, view);
      const connections = this.#connections.table(this.#parts.clock.now());
      running.progress = {
        check: id,
        phase: "concluded",
        evidence: {
          probes: [],
          ...sent,
          heard: probes.heard(),
          counters: increases(before, readCounters()),
          ...itself,
          ...(connections === undefined ? {} : { connections }),
          agentSocket: this.#options.agentSocket,
        },
      };
    };
    seen().catch((error: unknown) => this.#failed(running, error));
  }

  /** The server goes on without this node, and says so. */
  #failed({ id }: Running, error: unknown): void {
    this.#parts.log.warn("check of the network failed", { check: id, error: renderError(error) });
  }
}

function nextInRing(ways: readonly WayTo[], self: string): readonly WayTo[] {
  const names = [...new Set(ways.map(({ peer }) => peer))].sort();
  const after = names.filter((name) => name > self);
  const ring = [...after, ...names.filter((name) => name < self)].slice(0, maxProbed);
  return ways.filter(({ peer }) => ring.includes(peer));
}

function increases(before: CounterIncreases, after: CounterIncreases): CounterIncreases {
  return {
    udpChecksumErrors: after.udpChecksumErrors - before.udpChecksumErrors,
    tcpChecksumErrors: after.tcpChecksumErrors - before.tcpChecksumErrors,
    icmpChecksumErrors: after.icmpChecksumErrors - before.icmpChecksumErrors,
    invalidPackets: after.invalidPackets - before.invalidPackets,
    reversePathDrops: after.reversePathDrops - before.reversePathDrops,
  };
}
