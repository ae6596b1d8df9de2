/**
 * The outbound side of a sidecar's configuration, which all pods of a namespace share: where a request goes depends on
 * who calls only where some VirtualService or DestinationRule asks for the caller's labels, and on where from only where rules go by
 * places. Clusters and endpoints are sorted here, once for all of them.
 */

import type { VirtualService } from "../../api/istio/networking.ts";
import type { Diagnostic } from "../../base/compiled.ts";
import { canonicalJson } from "../../base/json.ts";
import type { FilterChain, Listener, ProxyConfig } from "../../model/proxy-config.ts";
import type { Labels } from "../registry/selector.ts";
import { compareText, objectsOf, type World } from "../registry/world.ts";
import type { ClientPlace } from "./client-place.ts";
import { clusterKinds, type OutboundClusters, outboundClusters } from "./clusters.ts";
import { ProxyContext } from "./context.ts";
import { labelsAskedFor } from "./destination-rules.ts";
import { memoizedByKinds } from "./memo.ts";
import { outboundListeners } from "./outbound.ts";
import { outboundPolicyKinds } from "./outbound-policy.ts";
import { outboundRoutes } from "./route-configs.ts";
import { sidecarNotes } from "./sidecar-notes.ts";
import { type SidecarScope, scopeOf } from "./sidecar-scope.ts";
import { asksForCallers } from "./virtual-services.ts";

export interface OutboundPart extends ProxyConfig {
  readonly notes: readonly Diagnostic[];
}

export function outboundPart(
  world: World,
  namespace: string,
  labels: Labels,
  place: ClientPlace,
): OutboundPart {
  const asks = asksForCallers(objectsOf<VirtualService>(world, "VirtualService"));
  const caller = asks ? `${namespace} ${canonicalJson(labels)}` : namespace;
  const scope = scopeOf(world, namespace, labels);
  const ruled = canonicalJson(labelsAskedFor(world, { namespace, labels }));
  const key = `${caller} ${ruled} ${place.key} ${scope?.key ?? ""}`;
  const known = byCaller(world);
  const part = known.get(key) ?? make(world, namespace, labels, place);
  known.set(key, part);
  return part;
}

const byCaller = memoizedByKinds(
  [...clusterKinds, ...outboundPolicyKinds, "VirtualService"],
  () => new Map<string, OutboundPart>(),
);

function make(world: World, namespace: string, labels: Labels, place: ClientPlace): OutboundPart {
  const context = new ProxyContext(world, namespace, labels);
  const listeners = outboundListeners(context);
  const routes = outboundRoutes(context);
  const all = outboundClusters(world, context, place);
  const shared = context.scope === undefined ? all : within(context.scope, all, listeners, routes);
  const extra = [...context.extraClusters.values()];
  const clusters = [...shared.clusters, ...extra.map(([cluster]) => cluster)];
  const endpoints = [...shared.endpoints, ...extra.map(([, endpoints]) => endpoints)];
  return {
    listeners:
      shared.tcpIdleMs.size === 0 ? listeners : listeners.map((one) => idling(one, shared)),
    routes,
    clusters: clusters.sort((a, b) => compareText(a.name, b.name)),
    endpoints: endpoints.sort((a, b) => compareText(a.cluster, b.cluster)),
    notes: [
      ...shared.notes,
      ...context.notes,
      ...(context.scope === undefined ? [] : sidecarNotes(context.scope)),
    ],
  };
}

/** The clusters that a Sidecar admits, and those that admitted VirtualServices lead to. */
function within(
  scope: SidecarScope,
  all: OutboundClusters,
  listeners: readonly Listener[],
  routes: ProxyConfig["routes"],
): OutboundClusters {
  const used = new Set([...tcpTargets(listeners), ...httpTargets(routes)]);
  const clusters = all.clusters.filter(
    ({ name, service }) =>
      used.has(name) ||
      service === undefined ||
      scope.admits(service.namespace, service.host, service.port),
  );
  const names = new Set(clusters.map(({ name }) => name));
  return { ...all, clusters, endpoints: all.endpoints.filter((one) => names.has(one.cluster)) };
}

function tcpTargets(listeners: readonly Listener[]): readonly string[] {
  return listeners
    .flatMap(({ filterChains, defaultFilterChain }) => [...filterChains, defaultFilterChain])
    .flatMap((chain) => (chain?.filter.kind === "tcp" ? chain.filter.clusters : []))
    .map(({ cluster }) => cluster);
}

function httpTargets(configs: ProxyConfig["routes"]): readonly string[] {
  return configs
    .flatMap(({ virtualHosts }) => virtualHosts.flatMap(({ routes }) => routes))
    .flatMap(({ action }) =>
      action.kind === "forward" ? [...action.clusters, ...(action.mirrors ?? [])] : [],
    )
    .map(({ cluster }) => cluster);
}

/** The listener, its TCP connections closed when they have been idle for as long as their destination says. */
function idling(listener: Listener, { tcpIdleMs }: OutboundClusters): Listener {
  const chained = (chain: FilterChain): FilterChain => {
    const { filter } = chain;
    if (filter.kind !== "tcp") return chain;
    const limits = filter.clusters.flatMap(({ cluster }) => tcpIdleMs.get(cluster) ?? []);
    // One filter may lead to several: whoever wants connections the longest keeps them.
    const idleTimeoutMs = limits.includes(0) ? 0 : Math.max(...limits);
    return limits.length === 0 ? chain : { ...chain, filter: { ...filter, idleTimeoutMs } };
  };
  const fallback = listener.defaultFilterChain;
  return {
    ...listener,
    filterChains: listener.filterChains.map(chained),
    ...(fallback === undefined ? {} : { defaultFilterChain: chained(fallback) }),
  };
}
