/**
 * What each client is to have in a world, as resources.
 *
 * Compiles for one client at a time and shares everything that is equal (shared-values.ts). Worlds that differ only in
 * kinds that a client does not depend on give the very resources of before, uncompiled: nodes' leases and addresses
 * change all the time, routes rarely.
 */

import type { Pod } from "../../api/k8s/core.ts";
import type { Diagnostic } from "../../base/compiled.ts";
import { placesKey } from "../../core/mesh/client-place.ts";
import { compileProxy } from "../../core/mesh/compile-proxy.ts";
import { viewFor } from "../../core/registry/view.ts";
import { objectNamed, type World } from "../../core/registry/world.ts";
import type { NodeView } from "../../model/node-view.ts";
import type { ProxyConfig } from "../../model/proxy-config.ts";
import type { Client } from "../../wire/xds/node.ts";
import { encodeNodeView } from "../../wire/xds/node-view.ts";
import { encodeProxyConfig } from "../../wire/xds/proxy-config.ts";
import type { XdsResources } from "../../wire/xds/resources.ts";
import { SharedValues } from "./shared-values.ts";

/** Kinds that viewFor reads. */
const nodeKinds: readonly string[] = [
  "Network",
  "Node",
  "AddressBlock",
  "Namespace",
  "Pod",
  "Service",
  "EndpointSlice",
  "NetworkPolicy",
  "ServiceEntry",
];

/** Kinds that compileProxy reads. */
const meshKinds: readonly string[] = [
  "Namespace",
  "Pod",
  "Service",
  "EndpointSlice",
  "VirtualService",
  "Gateway",
  "Secret",
  "DestinationRule",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "ServiceEntry",
  "WorkloadEntry",
  "Sidecar",
  "Telemetry",
  "Network",
];

export interface Configuration {
  readonly resources: XdsResources;
  readonly diagnostics: readonly Diagnostic[];
}

export class Configurations {
  readonly #agents = new Family(nodeKinds);
  readonly #sidecars = new Family(meshKinds, placesKey);

  /** Undefined for a sidecar whose pod is gone: it keeps what it has for as long as it lives. */
  for(client: Client, world: World): Configuration | undefined {
    if (client.kind === "agent") {
      return this.#agents.get(client.node, world, (values) => ({
        resources: encodeNodeView(sharedView(viewFor(world, client.node), values)),
        diagnostics: [],
      }));
    }
    const { proxy } = client;
    if (objectNamed<Pod>(world, "Pod", proxy.namespace, proxy.pod) === undefined) return undefined;
    return this.#sidecars.get(proxy.id, world, (values) => {
      const { value, diagnostics } = compileProxy(world, proxy);
      return { resources: encodeProxyConfig(sharedConfig(value, values)), diagnostics };
    });
  }

  /** Called when the client is gone. */
  forget(client: Client): void {
    if (client.kind === "agent") this.#agents.forget(client.node);
    else this.#sidecars.forget(client.proxy.id);
  }
}

/** Clients whose configurations depend on the same kinds. */
class Family {
  readonly #kinds: readonly string[];
  readonly #aspect: (world: World) => string;
  readonly #values = new SharedValues();
  readonly #known = new Map<string, { readonly world: World; readonly made: Configuration }>();
  #world: World | undefined;

  /** `aspect`: what they depend on of other kinds, as a text that changes with it. */
  constructor(kinds: readonly string[], aspect: (world: World) => string = () => "") {
    this.#kinds = kinds;
    this.#aspect = aspect;
  }

  get(key: string, world: World, make: (values: SharedValues) => Configuration): Configuration {
    if (this.#world === undefined || !this.#isSame(this.#world, world)) {
      this.#values.turn();
      this.#world = world;
    }
    const known = this.#known.get(key);
    if (known !== undefined && this.#isSame(known.world, world)) return known.made;
    const made = make(this.#values);
    this.#known.set(key, { world, made });
    return made;
  }

  forget(key: string): void {
    this.#known.delete(key);
  }

  /** Worlds share the maps of kinds that did not change between them. */
  #isSame(before: World, after: World): boolean {
    return (
      this.#kinds.every((kind) => before.objects.get(kind) === after.objects.get(kind)) &&
      this.#aspect(before) === this.#aspect(after)
    );
  }
}

function sharedConfig(config: ProxyConfig, values: SharedValues): ProxyConfig {
  return {
    listeners: values.shareAll(config.listeners),
    routes: values.shareAll(config.routes),
    clusters: values.shareAll(config.clusters),
    endpoints: values.shareAll(config.endpoints),
    ...(config.secrets === undefined ? {} : { secrets: values.shareAll(config.secrets) }),
  };
}

function sharedView(view: NodeView, values: SharedValues): NodeView {
  return {
    ...view,
    nodes: values.shareAll(view.nodes),
    workloads: values.shareAll(view.workloads),
    services: values.shareAll(view.services),
    ...(view.externalHosts === undefined
      ? {}
      : { externalHosts: values.shareAll(view.externalHosts) }),
    policies: values.shareAll(view.policies),
  };
}
