/**
 * The server's picture of live traffic: takes agents' reports into the history and makes views of it when asked.
 *
 * Who waits for news (streams) is told of each report; how often to look is theirs to decide.
 */

import { stringify } from "yaml";
import type { Service } from "../../api/k8s/core.ts";
import { objectNamed } from "../../core/registry/world.ts";
import { graphOf } from "../../core/traffic/graph.ts";
import { TrafficHistory } from "../../core/traffic/history.ts";
import { nodesView } from "../../core/traffic/nodes-view.ts";
import { podsView } from "../../core/traffic/pods-view.ts";
import { serviceView } from "../../core/traffic/service-view.ts";
import type {
  NodeReport,
  NodesView,
  PodsView,
  ServiceView,
  TrafficGraph,
} from "../../model/observation.ts";
import type { WorldSource } from "../world-source.ts";

/** What "now" means for a Service's signals and neighbours. */
const nowSeconds = 10;

export class Observatory {
  readonly history: TrafficHistory = new TrafficHistory();
  readonly #world: WorldSource;
  readonly #now: () => number;
  readonly #listeners = new Set<() => void>();

  constructor(world: WorldSource, now: () => number) {
    this.#world = world;
    this.#now = now;
  }

  /** False: more nodes report than are kept. */
  take(report: NodeReport): boolean {
    const isTaken = this.history.add(report, this.#now());
    for (const tell of this.#listeners) tell();
    return isTaken;
  }

  /** Calls `tell` at each report, until the answer is called. */
  onReport(tell: () => void): () => void {
    this.#listeners.add(tell);
    return () => this.#listeners.delete(tell);
  }

  graph(seconds: number): TrafficGraph {
    return graphOf(this.#world.current(), this.history.window(seconds, this.#now()));
  }

  /** Undefined where there is no such Service. */
  service(namespace: string, name: string, seconds: number): ServiceView | undefined {
    const world = this.#world.current();
    const service = objectNamed<Service>(world, "Service", namespace, name);
    if (service === undefined) return undefined;
    const at = this.#now();
    const traffic = {
      now: this.history.window(Math.min(nowSeconds, seconds), at),
      slots: this.history.slots(seconds, at),
    };
    return serviceView(world, service, traffic, (object) => stringify(object));
  }

  pods(seconds: number): PodsView {
    return podsView(this.#world.current(), this.history.window(seconds, this.#now()));
  }

  nodes(): NodesView {
    return nodesView(this.#world.current(), this.history, this.#now());
  }
}
