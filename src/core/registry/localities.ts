/**
 * Where nodes are: region, zone and sub-zone, by the labels that Kubernetes and Istio give them.
 *
 * Nodes change all the time and hardly ever move, so what is derived from places is remembered by `key`, which is equal
 * while no node has come, gone or moved.
 */

import type { Node } from "../../api/k8s/core.ts";
import type { Locality } from "../../model/proxy-config.ts";
import { objectsOf, type World } from "./world.ts";

export const regionLabel = "topology.kubernetes.io/region";
export const zoneLabel = "topology.kubernetes.io/zone";
export const subZoneLabel = "topology.istio.io/subzone";

export interface Localities {
  readonly key: string;
  /** By the node's name; those that have none of the labels are not in it. */
  readonly of: ReadonlyMap<string, Locality>;
}

export function localitiesOf(world: World): Localities {
  const nodes = objectsOf<Node>(world, "Node");
  const before = known.get(nodes);
  if (before !== undefined) return before;
  const of = new Map<string, Locality>();
  for (const { metadata } of nodes) {
    const label = (name: string): string => metadata.labels?.[name] ?? "";
    const place = {
      region: label(regionLabel),
      zone: label(zoneLabel),
      subZone: label(subZoneLabel),
    };
    if (place.region !== "" || place.zone !== "") of.set(metadata.name, place);
  }
  const made = { key: of.size === 0 ? "" : JSON.stringify([...of]), of };
  known.set(nodes, made);
  return made;
}

const known = new WeakMap<readonly Node[], Localities>();
