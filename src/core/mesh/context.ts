/** What compiling one proxy carries along: whose it is, where its routes are bound, and what was noted on the way. */

import type { Diagnostic } from "../../base/compiled.ts";
import type { Cluster, ClusterEndpoints } from "../../model/proxy-config.ts";
import type { Labels } from "../registry/selector.ts";
import type { World } from "../registry/world.ts";
import { type SidecarScope, scopeOf } from "./sidecar-scope.ts";

export class ProxyContext {
  readonly world: World;
  readonly namespace: string;
  /** Labels of the proxy's pod. */
  readonly labels: Labels;
  /** What the pod's Sidecar admits; undefined: everything. What gateways serve does not ask for it. */
  readonly scope: SidecarScope | undefined;
  /** Clusters that routes need beyond those that every proxy of the namespace has, by name. */
  readonly extraClusters: Map<string, readonly [Cluster, ClusterEndpoints]>;
  /** `namespace/name` of the Gateway whose routes are made; undefined: the mesh's. */
  readonly gateway: string | undefined;
  readonly #notes: Map<string, Diagnostic>;

  constructor(
    world: World,
    namespace: string,
    labels: Labels,
    binding?: { readonly gateway: string; readonly proxy: ProxyContext },
  ) {
    this.world = world;
    this.namespace = namespace;
    this.labels = labels;
    this.scope = scopeOf(world, namespace, labels);
    this.gateway = binding?.gateway;
    this.extraClusters = binding?.proxy.extraClusters ?? new Map();
    this.#notes = binding === undefined ? new Map() : binding.proxy.#notes;
  }

  /** The same proxy's, for routes that are bound to the Gateway `namespace/name`. */
  at(gateway: string): ProxyContext {
    const { world, namespace, labels } = this;
    return new ProxyContext(world, namespace, labels, { gateway, proxy: this });
  }

  /** The same place is compiled for several ports; what is wrong with it is said once. */
  note(diagnostic: Diagnostic): void {
    this.#notes.set(`${diagnostic.code} ${diagnostic.where}`, diagnostic);
  }

  get notes(): readonly Diagnostic[] {
    return [...this.#notes.values()];
  }
}
