/**
 * The server's picture of live traffic: takes agents' reports into the history and makes views of it when asked.
 *
 * Who waits for news (streams) is told of each report; how often to look is theirs to decide.
 */

import { stringify } from "yaml";
import type { Node, Pod, Service } from "../../api/k8s/core.ts";
import type { Random } from "../../base/random.ts";
import { podsCalled } from "../../core/registry/pods-called.ts";
import { objectKey, objectNamed, objectsOf } from "../../core/registry/world.ts";
import { graphOf } from "../../core/traffic/graph.ts";
import { TrafficHistory } from "../../core/traffic/history.ts";
import { nodesView } from "../../core/traffic/nodes-view.ts";
import { type Place, placesOf } from "../../core/traffic/places.ts";
import { podsView } from "../../core/traffic/pods-view.ts";
import { serviceView } from "../../core/traffic/service-view.ts";
import type {
  NodeReport,
  NodesView,
  PodsView,
  ServiceView,
  TrafficGraph,
} from "../../model/observation.ts";
import { NetworkChecks } from "../check/checks.ts";
import { Forecasts } from "../forecast/forecasts.ts";
import type { WorldSource } from "../world-source.ts";
import { LiveTaps } from "./taps.ts";

/** What "now" means for a Service's signals and neighbours. */
const nowSeconds = 10;
const heardWithinMs = 5_000;

export class Observatory {
  readonly history: TrafficHistory = new TrafficHistory();
  readonly taps: LiveTaps;
  readonly forecasts: Forecasts;
  readonly checks: NetworkChecks;
  readonly #world: WorldSource;
  readonly #now: () => number;
  readonly #listeners = new Set<() => void>();

  constructor(world: WorldSource, now: () => number, random: Random) {
    this.#world = world;
    this.#now = now;
    this.taps = new LiveTaps(() => this.#reporting());
    this.forecasts = new Forecasts(world, this.history, now);
    const reportedAt = (node: string) => this.history.reportedAt(node);
    this.checks = new NetworkChecks({ world, now, random, reportedAt });
  }

  /** False: more nodes report than are kept. */
  take(report: NodeReport): boolean {
    const isTaken = this.history.add(report, this.#now());
    this.forecasts.take(report.losses);
    for (const tell of this.#listeners) tell();
    return isTaken;
  }

  /** Calls `tell` at each report, until the answer is called. */
  onReport(tell: () => void): () => void {
    this.#listeners.add(tell);
    return () => this.#listeners.delete(tell);
  }

  /** The pods behind a Service (`shop/web`, `web`), or those that go by the name. */
  podsMeant(target: string): readonly string[] {
    const world = this.#world.current();
    const isService = ({ id, kind }: Place) =>
      kind === "service" && (id === target || id.endsWith(`/${target}`));
    const services = placesOf(world).all().filter(isService);
    const pods =
      services.length > 0
        ? services.flatMap((service) => service.pods)
        : podsCalled(objectsOf<Pod>(world, "Pod"), target, undefined);
    return [...new Set(pods.map(objectKey))];
  }

  /** Nodes that are heard of. */
  #reporting(): readonly string[] {
    const since = this.#now() - heardWithinMs;
    return objectsOf<Node>(this.#world.current(), "Node")
      .map(({ metadata }) => metadata.name)
      .filter((name) => (this.history.reportedAt(name) ?? 0) > since);
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
