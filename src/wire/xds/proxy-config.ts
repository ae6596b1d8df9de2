/**
 * A sidecar's whole configuration ⇄ xDS resources.
 *
 * Both directions remember what they made of an object they have seen (by identity), encoding also what of a whole list:
 * a configuration of which one route changed costs one route. The memory lives and dies with the objects.
 */

import { isIp } from "../../base/ip.ts";
import type { ClusterEndpoints, ProxyConfig } from "../../model/proxy-config.ts";
import { decodeCluster, encodeCluster } from "./cluster.ts";
import { decodeEndpoints, encodeEndpoints } from "./endpoints.ts";
import { invalid } from "./field.ts";
import { decodeListener, encodeListener } from "./listener.ts";
import type { EncodedResource, XdsResources } from "./resources.ts";
import { groupByType, shortType, typeUrls } from "./resources.ts";
import { decodeRoutes, encodeRoutes } from "./route-config.ts";
import { decodeSecret, encodeSecret } from "./secret.ts";

export function encodeProxyConfig(config: ProxyConfig): XdsResources {
  return new Map([
    ...clustersOf(config.clusters),
    ...allEndpointsOf(config.endpoints),
    ...listenersOf(config.listeners),
    ...allRoutesOf(config.routes),
    ...secretsOf(config.secrets ?? []),
  ]);
}

/** Throws MeshError `xds.malformed` or `xds.invalid` naming the resource and the path in it. */
export function decodeProxyConfig(resources: XdsResources): ProxyConfig {
  const secrets = all(resources, typeUrls.secret, toSecret);
  return {
    listeners: all(resources, typeUrls.listener, toListener),
    routes: all(resources, typeUrls.route, toRoutes),
    clusters: all(resources, typeUrls.cluster, toCluster),
    endpoints: all(resources, typeUrls.endpoints, toEndpoints),
    ...(secrets.length === 0 ? {} : { secrets }),
  };
}

/** Throws as `decodeProxyConfig` would for this resource. */
export function checkResource(resource: EncodedResource): void {
  switch (resource.typeUrl) {
    case typeUrls.secret:
      return void toSecret(resource);
    case typeUrls.listener:
      return void toListener(resource);
    case typeUrls.route:
      return void toRoutes(resource);
    case typeUrls.cluster:
      return void toCluster(resource);
    case typeUrls.endpoints:
      return void checkAddresses(toEndpoints(resource));
  }
  throw invalid(`resource ${resource.name}`, `want no ${resource.typeUrl}`);
}

/** Names are for clusters that look them up. */
function checkAddresses({ cluster, endpoints }: ClusterEndpoints): void {
  const odd = endpoints.find(({ address }) => !isIp(address));
  if (odd === undefined) return;
  throw invalid(`ClusterLoadAssignment ${cluster}`, `want addresses, got "${odd.address}"`);
}

const listenerOf = remembered(encodeListener);
const routesOf = remembered(encodeRoutes);
const clusterOf = remembered(encodeCluster);
const endpointsOf = remembered(encodeEndpoints);
const secretOf = remembered(encodeSecret);
const clustersOf = listsOf(clusterOf);
const allEndpointsOf = listsOf(endpointsOf);
const listenersOf = listsOf(listenerOf);
const allRoutesOf = listsOf(routesOf);
const secretsOf = listsOf(secretOf);
const toSecret = remembered(named(decodeSecret, ({ name }) => name));
const toListener = remembered(named(decodeListener, ({ name }) => name));
const toRoutes = remembered(named(decodeRoutes, ({ name }) => name));
const toCluster = remembered(named(decodeCluster, ({ name }) => name));
const toEndpoints = remembered(named(decodeEndpoints, ({ cluster }) => cluster));

/** What is asked for by one name, and goes by another, would stand in the place of something else. */
function named<T>(
  decode: (resource: EncodedResource) => T,
  nameOf: (value: T) => string,
): (resource: EncodedResource) => T {
  return (resource) => {
    const value = decode(resource);
    const name = nameOf(value);
    if (name === resource.name) return value;
    const path = `${shortType(resource.typeUrl)} ${resource.name}`;
    throw invalid(path, `want the same name inside, got "${name}"`);
  };
}

function all<T>(
  resources: XdsResources,
  typeUrl: string,
  decode: (resource: EncodedResource) => T,
): readonly T[] {
  return [...(resources.get(typeUrl)?.values() ?? [])]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(decode);
}

/** A list's resources by name, under their type; nothing for none. */
function listsOf<T>(encode: (value: T) => EncodedResource): (values: readonly T[]) => XdsResources {
  return remembered((values: readonly T[]) => groupByType(values.map(encode)));
}

function remembered<A extends object, B>(compute: (value: A) => B): (value: A) => B {
  const known = new WeakMap<A, B>();
  return (value) => {
    const before = known.get(value);
    if (before !== undefined) return before;
    const result = compute(value);
    known.set(value, result);
    return result;
  };
}
