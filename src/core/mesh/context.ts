/** What compiling one proxy carries along: whose it is, and what was noted on the way. */

import type { Diagnostic } from "../../base/compiled.ts";
import type { Cluster, ClusterEndpoints } from "../../model/proxy-config.ts";
import type { Labels } from "../registry/selector.ts";
import type { World } from "../registry/world.ts";

export class ProxyContext {
  readonly world: World;
  readonly namespace: string;
  /** Labels of the proxy's pod. */
  readonly labels: Labels;
  /** Clusters that routes need beyond those that every proxy of the namespace has, by name. */
  readonly extraClusters: Map<string, readonly [Cluster, ClusterEndpoints]> = new Map();
  readonly #notes = new Map<string, Diagnostic>();

  constructor(world: World, namespace: string, labels: Labels) {
    this.world = world;
    this.namespace = namespace;
    this.labels = labels;
  }

  /** The same place is compiled for several ports; what is wrong with it is said once. */
  note(diagnostic: Diagnostic): void {
    this.#notes.set(`${diagnostic.code} ${diagnostic.where}`, diagnostic);
  }

  get notes(): readonly Diagnostic[] {
    return [...this.#notes.values()];
  }
}
