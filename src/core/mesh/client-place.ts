/**
 * Where a client is, as far as it matters: what its configuration depends on beyond its namespace.
 *
 * `key` is equal for clients that get the same configuration. It is empty while nobody asks for places (no outlier
 * detection, no `localityLbSetting`, no `trafficDistribution`), or no node has any: then all clients of a namespace
 * share everything, and nodes may change as they like.
 */

import type { DestinationRule, TrafficPolicy } from "../../api/istio/networking.ts";
import type { Pod, Service } from "../../api/k8s/core.ts";
import { canonicalJson } from "../../base/json.ts";
import type { Locality } from "../../model/proxy-config.ts";
import { localitiesOf, regionLabel, subZoneLabel, zoneLabel } from "../registry/localities.ts";
import type { Labels } from "../registry/selector.ts";
import { objectsOf, type World } from "../registry/world.ts";
import { memoizedByKinds } from "./memo.ts";

export interface ClientPlace {
  readonly key: string;
  readonly locality: Locality;
  /** The pod's and those of its place. */
  readonly labels: Labels;
  placeOf(node: string | undefined): Locality;
  labelsOf(node: string | undefined): Labels;
}

/** Every node has it; Heddle knows it without asking. */
export const nodeLabel = "kubernetes.io/hostname";

const nowhere: Locality = { region: "", zone: "", subZone: "" };

/** For whoever asks on nobody's behalf. */
export const anywhere: ClientPlace = {
  key: "",
  locality: nowhere,
  labels: {},
  placeOf: () => nowhere,
  labelsOf: () => ({}),
};

export function placeOf(world: World, pod: Pod): ClientPlace {
  const asked = askedFor(world);
  if (asked === undefined) return anywhere;
  const { key, of } = localitiesOf(world);
  const place = (node: string | undefined): Locality => of.get(node ?? "") ?? nowhere;
  const labelsOf = (node: string | undefined): Labels => labelsFrom(place(node), node);
  const { nodeName } = pod.spec;
  const labels = { ...pod.metadata.labels, ...labelsOf(nodeName) };
  const told = [...asked].map((name) => [name, labels[name]]);
  return {
    key: `${key} ${canonicalJson(told)}`,
    locality: place(nodeName),
    labels,
    placeOf: place,
    labelsOf,
  };
}

/** Equal as long as no place that matters has changed. */
export function placesKey(world: World): string {
  return askedFor(world) === undefined ? "" : localitiesOf(world).key;
}

function labelsFrom({ region, zone, subZone }: Locality, node: string | undefined): Labels {
  const known: readonly (readonly [string, string | undefined])[] = [
    [regionLabel, region],
    [zoneLabel, zone],
    [subZoneLabel, subZone],
    [nodeLabel, node],
  ];
  return Object.fromEntries(
    known.flatMap(([name, value]) =>
      value === undefined || value === "" ? [] : [[name, value] as const],
    ),
  );
}

/** The client's labels that some rule goes by; undefined: none goes by places. */
const askedFor = memoizedByKinds<ReadonlySet<string> | undefined>(
  ["DestinationRule", "Service"],
  (world) => {
    const labels = new Set<string>([regionLabel, zoneLabel, subZoneLabel]);
    let asks = false;
    for (const { spec } of objectsOf<DestinationRule>(world, "DestinationRule")) {
      const policies = [spec, ...(spec.subsets ?? [])]
        .flatMap(({ trafficPolicy }) => trafficPolicy ?? [])
        .flatMap((policy) => [policy, ...(policy.portLevelSettings ?? [])]);
      for (const policy of policies) {
        asks ||= goesByPlace(policy);
        const { failoverPriority = [] } = policy.loadBalancer?.localityLbSetting ?? {};
        for (const label of failoverPriority) labels.add(label.split("=")[0] ?? "");
      }
    }
    for (const { spec } of objectsOf<Service>(world, "Service")) {
      asks ||= spec.trafficDistribution !== undefined;
      if (spec.trafficDistribution === "PreferSameNode") labels.add(nodeLabel);
    }
    return asks ? labels : undefined;
  },
);

function goesByPlace(policy: TrafficPolicy): boolean {
  return (
    policy.outlierDetection !== undefined || policy.loadBalancer?.localityLbSetting !== undefined
  );
}
