/**
 * Which endpoints a connection may go to, and how many slots each has: the policies of a Service, before any nftables.
 *
 * In Kubernetes' order: an endpoint must be ready; where none is, one that still answers on its way out will do
 * (KEP-1669), asked separately for the node and for the cluster. Of the cluster's ready ones those that are meant for
 * this node, else for this zone, are preferred (`trafficDistribution`), where any are; a zone counts only where every
 * endpoint says whose it is, since otherwise one zone's clients would all crowd onto the few that do.
 */

import type { IpFamily } from "../../../base/ip.ts";
import { familyOf } from "../../../base/ip.ts";
import type { NodeName } from "../../../model/names.ts";
import type { EndpointView, ServicePortView } from "../../../model/node-view.ts";

export interface Place {
  readonly node: NodeName;
  readonly zone?: string;
}

export interface Usable {
  readonly cluster: readonly EndpointView[];
  /** On this node. */
  readonly local: readonly EndpointView[];
}

export function usableEndpoints(port: ServicePortView, family: IpFamily, place: Place): Usable {
  const ofFamily = (each: EndpointView) => familyOf(each.address) === family;
  const here = (each: EndpointView) => each.node === place.node;
  const ready = port.endpoints.filter(ofFamily);
  const draining = (port.draining ?? []).filter(ofFamily);
  const localReady = ready.filter(here);
  return {
    cluster: ready.length > 0 ? preferred(ready, place) : draining,
    local: localReady.length > 0 ? localReady : draining.filter(here),
  };
}

function preferred(ready: readonly EndpointView[], place: Place): readonly EndpointView[] {
  const forNode = ready.filter(({ forNodes }) => forNodes?.includes(place.node) === true);
  if (forNode.length > 0) return forNode;
  const { zone } = place;
  if (zone === undefined || !ready.every(({ forZones }) => (forZones ?? []).length > 0)) {
    return ready;
  }
  const forZone = ready.filter(({ forZones }) => forZones?.includes(zone) === true);
  return forZone.length > 0 ? forZone : ready;
}

/** A Service's slots stay few, whatever weights people write: 1 in 256 is as fine as a share gets. */
const mostSlots = 256;

/**
 * Endpoints as often as their weights say, in lowest terms: weights 20 and 10 are 2 slots and 1. Weight 0 has none,
 * unless all have 0. Where the slots would be too many they are scaled down, and each keeps at least one.
 */
export function slotsOf(endpoints: readonly EndpointView[]): readonly EndpointView[] {
  const weights = endpoints.map(({ weight = 1 }) => weight);
  if (weights.every((weight) => weight === weights[0])) return endpoints;
  const divisor = weights.reduce(greatestCommonDivisor, 0);
  const counts = weights.map((weight) => weight / divisor);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const scale = Math.min(1, mostSlots / total);
  return endpoints.flatMap((endpoint, index) => {
    const count = counts[index] ?? 0;
    return count === 0 ? [] : Array(Math.max(1, Math.round(count * scale))).fill(endpoint);
  });
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
