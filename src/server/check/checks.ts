/**
 * Leads the nodes through a check of the network, and concludes from what they say.
 *
 * Agents ask for orders with their reports, each second, and five times a second once they have one. A phase is over
 * when every node that takes part has said so, or when its time is up: a node that is away, or of an earlier version,
 * costs time and is a finding, never a hang. Whoever asks while a check runs gets that one's conclusions.
 */

import type { Network } from "../../api/heddle/v1.ts";
import type { Node } from "../../api/k8s/core.ts";
import type { Random } from "../../base/random.ts";
import {
  type CheckedNode,
  connectionForecasts,
  findingsOf,
} from "../../core/network-check/findings.ts";
import { hasArrived, pathsOf } from "../../core/network-check/path-findings.ts";
import { objectNamed, objectsOf } from "../../core/registry/world.ts";
import type {
  CheckOrder,
  CheckPeer,
  CheckPhase,
  CheckProgress,
  NetworkCheck,
  NodeEvidence,
} from "../../model/network-check.ts";
import type { WorldSource } from "../world-source.ts";

/**
 * Longest that each phase takes; less than fifteen seconds together. Agents report each second, and one that stands still
 * for two must not be taken for one that is silent.
 */
const withinMs: Readonly<Record<CheckPhase, number>> = {
  prepare: 4_000,
  probe: 5_000,
  conclude: 4_000,
};

/** Who was heard since then is waited for; the others take part if they come. */
const heardWithinMs = 5_000;

export interface CheckDeps {
  readonly world: WorldSource;
  readonly now: () => number;
  readonly random: Random;
  /** When a node reported last; undefined: not within the hour. */
  readonly reportedAt: (node: string) => number | undefined;
}

interface Running {
  readonly id: string;
  readonly result: Promise<NetworkCheck>;
  phase: CheckPhase;
  peers: readonly CheckPeer[];
  /** The last word of each node. */
  readonly progress: Map<string, CheckProgress>;
  /** Called when a node has come further. */
  told: () => void;
}

export class NetworkChecks {
  readonly #deps: CheckDeps;
  #running: Running | undefined;

  constructor(deps: CheckDeps) {
    this.#deps = deps;
  }

  /** Resolves within ten seconds. */
  run(): Promise<NetworkCheck> {
    if (this.#running !== undefined) return this.#running.result;
    const done = Promise.withResolvers<NetworkCheck>();
    const running: Running = {
      id: hexadecimal(this.#deps.random),
      result: done.promise,
      phase: "prepare",
      peers: [],
      progress: new Map(),
      told: () => undefined,
    };
    this.#running = running;
    this.#lead(running)
      .then(done.resolve, done.reject)
      .finally(() => {
        this.#running = undefined;
      });
    return done.promise;
  }

  orders(): readonly CheckOrder[] {
    if (this.#running === undefined) return [];
    const { id, phase, peers } = this.#running;
    return [{ id, phase, peers }];
  }

  take(node: string, progress: readonly CheckProgress[]): void {
    for (const each of progress) {
      if (each.check !== this.#running?.id) continue;
      this.#running.progress.set(node, each);
      this.#running.told();
    }
  }

  async #lead(running: Running): Promise<NetworkCheck> {
    const begun = this.#deps.now();
    const partners = this.#nodes()
      .map(({ metadata }) => metadata.name)
      .filter((name) => (this.#deps.reportedAt(name) ?? 0) > begun - heardWithinMs);
    await this.#phase(running, "prepare", partners);
    running.peers = [...running.progress].flatMap(([node, each]) =>
      each.phase === "prepared" && each.port > 0 ? [{ node, port: each.port }] : [],
    );
    await this.#phase(running, "probe", partners);
    await this.#phase(running, "conclude", partners);
    const evidence = new Map(
      [...running.progress].flatMap(([node, each]) =>
        each.phase === "concluded" ? [[node, each.evidence] as const] : [],
      ),
    );
    return this.#conclude(evidence, begun);
  }

  /** Over when all have said that they are through it, or when the time is up. */
  async #phase(running: Running, phase: CheckPhase, nodes: readonly string[]): Promise<void> {
    running.phase = phase;
    const isThrough = (node: string) => running.progress.get(node)?.phase === through[phase];
    const over = Promise.withResolvers<void>();
    running.told = () => {
      if (nodes.every(isThrough)) over.resolve();
    };
    running.told();
    const timer = setTimeout(over.resolve, withinMs[phase]);
    await over.promise;
    clearTimeout(timer);
  }

  #conclude(evidence: ReadonlyMap<string, NodeEvidence>, begun: number): NetworkCheck {
    const { world, now, reportedAt } = this.#deps;
    const nodes = this.#nodes().map((node): CheckedNode => {
      const { name } = node.metadata;
      const seen = evidence.get(name);
      const at = reportedAt(name);
      return {
        name,
        address: node.status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "",
        ...(seen === undefined ? {} : { evidence: seen }),
        ...(at === undefined ? {} : { silentMs: now() - at }),
      };
    });
    const mtu = objectNamed<Network>(world.current(), "Network", "", "default")?.spec.mtu;
    const paths = pathsOf(nodes);
    return {
      at: begun,
      tookMs: now() - begun,
      nodes: [...evidence.keys()].sort(),
      paths: paths.filter(hasArrived).length,
      probed: paths.length,
      findings: findingsOf({ nodes, ...(mtu === undefined ? {} : { networkMtu: mtu }) }),
      unjudged: nodes.flatMap(({ name, evidence: seen }) =>
        (seen?.unread ?? []).map((what) => `${name}: ${what}`),
      ),
      connections: connectionForecasts(nodes),
    };
  }

  #nodes(): readonly Node[] {
    return objectsOf<Node>(this.#deps.world.current(), "Node");
  }
}

const through = { prepare: "prepared", probe: "probed", conclude: "concluded" } as const;

function hexadecimal(random: Random): string {
  return Math.floor(random() * 2 ** 32)
    .toString(16)
    .padStart(8, "0");
}
