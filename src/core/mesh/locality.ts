/**
 * Which endpoints a client tries first: `localityLbSetting` and `trafficDistribution`, with Istio's rules.
 *
 * - `distribute`: the shares of localities, for clients of the first rule whose `from` is theirs. Localities that no
 *   share names get nothing.
 * - `failover`, or nothing: what is nearest has priority, in four steps (sub-zone, zone, region, the rest); of other
 *   regions the one that a rule names comes before all.
 * - `failoverPriority`: endpoints that agree with the client in more of these labels, from the first on, come first.
 *
 * As in Istio, priorities take effect where outlier detection is on, since nobody would notice otherwise that a place
 * is down; a Service's `trafficDistribution` asks for them by itself. `enabled: false` turns all of it off.
 */

import type {
  LocalityLbSetting,
  LocalityShares,
  TrafficPolicy,
} from "../../api/istio/networking.ts";
import type { Locality } from "../../model/proxy-config.ts";
import { regionLabel, subZoneLabel, zoneLabel } from "../registry/localities.ts";
import { type ClientPlace, nodeLabel } from "./client-place.ts";
import type { MeshEndpoint, MeshService } from "./mesh-service.ts";

/** What is said of one endpoint; `undefined` instead: this client does not use it. */
export interface Placing {
  readonly locality?: Locality;
  readonly priority?: number;
  readonly localityWeight?: number;
}

export type Arrangement =
  | { readonly kind: "none" }
  | { readonly kind: "distribute"; readonly to: LocalityShares }
  | { readonly kind: "nearest"; readonly failover: NonNullable<LocalityLbSetting["failover"]> }
  | { readonly kind: "labels"; readonly labels: readonly string[] };

/** What the policy asks for, from this client's place. */
export function arrangementFor(
  policy: TrafficPolicy | undefined,
  service: MeshService,
  client: ClientPlace,
): Arrangement {
  const setting = policy?.loadBalancer?.localityLbSetting;
  if (setting?.enabled === false) return none;
  if (setting?.distribute !== undefined && setting.distribute.length > 0) {
    const mine = setting.distribute.find(({ from = "" }) => isWithin(client.locality, from));
    return mine === undefined ? none : { kind: "distribute", to: mine.to ?? {} };
  }
  if (setting === undefined && service.trafficDistribution !== undefined) {
    return { kind: "labels", labels: nearness[service.trafficDistribution] };
  }
  if (policy?.outlierDetection === undefined) return none;
  const { failoverPriority = [], failover = [] } = setting ?? {};
  return failoverPriority.length > 0
    ? { kind: "labels", labels: failoverPriority }
    : { kind: "nearest", failover };
}

const none: Arrangement = { kind: "none" };

const nearness: Readonly<
  Record<NonNullable<MeshService["trafficDistribution"]>, readonly string[]>
> = {
  PreferClose: [regionLabel, zoneLabel, subZoneLabel],
  PreferSameZone: [regionLabel, zoneLabel],
  PreferSameNode: [regionLabel, zoneLabel, subZoneLabel, nodeLabel],
};

export function isLocalityWeighted({ kind }: Arrangement): boolean {
  return kind === "distribute";
}

/** Places for all endpoints of a cluster, sorted so that those of one priority and locality stand together. */
export function arrange(
  endpoints: readonly MeshEndpoint[],
  arrangement: Arrangement,
  client: ClientPlace,
): readonly (readonly [MeshEndpoint, Placing])[] {
  const placeOf = (endpoint: MeshEndpoint): Locality =>
    endpoint.locality ?? client.placeOf(endpoint.node);
  switch (arrangement.kind) {
    case "none":
      return endpoints.map((endpoint) => [endpoint, {}]);
    case "distribute":
      return sortedByPlace(distributed(endpoints, arrangement.to, placeOf));
    case "nearest": {
      const { failover } = arrangement;
      const levels = endpoints.map((one) => distance(client.locality, placeOf(one), failover));
      return sortedByPlace(levelled(endpoints, levels, placeOf));
    }
    case "labels": {
      const levels = endpoints.map((endpoint) =>
        firstDifference(arrangement.labels, client, {
          ...endpoint.labels,
          ...client.labelsOf(endpoint.node),
        }),
      );
      return sortedByPlace(levelled(endpoints, levels, placeOf));
    }
  }
}

type Placed = readonly [MeshEndpoint, Placing];

/** Levels that nobody is on are left out: priorities are 0, 1, 2 … */
function levelled(
  endpoints: readonly MeshEndpoint[],
  levels: readonly number[],
  placeOf: (endpoint: MeshEndpoint) => Locality,
): readonly Placed[] {
  const used = [...new Set(levels)].sort((a, b) => a - b);
  return endpoints.map((endpoint, index) => {
    const priority = used.indexOf(levels[index] ?? 0);
    return [
      endpoint,
      { locality: placeOf(endpoint), ...(priority === 0 ? {} : { priority }) },
    ] as const;
  });
}

/** 0: the same sub-zone … 3: another region; 4: another than the one that is to stand in for the client's. */
function distance(
  client: Locality,
  endpoint: Locality,
  failover: NonNullable<LocalityLbSetting["failover"]>,
): number {
  if (client.region === endpoint.region) {
    if (client.zone !== endpoint.zone) return 2;
    return client.subZone === endpoint.subZone ? 0 : 1;
  }
  const rule = failover.find(({ from }) => from === client.region);
  return rule === undefined || rule.to === endpoint.region ? 3 : 4;
}

/** `label`, or `label=value`, which stands in for what the client has itself. */
function firstDifference(
  labels: readonly string[],
  client: ClientPlace,
  endpoint: Readonly<Record<string, string>>,
): number {
  const at = labels.findIndex((text) => {
    const [name = "", value = client.labels[name]] = text.split("=");
    return value !== endpoint[name];
  });
  return at < 0 ? 0 : labels.length - at;
}

/** Each locality goes by the first rule that it is within; the rule's share is split by numbers of endpoints. */
function distributed(
  endpoints: readonly MeshEndpoint[],
  to: LocalityShares,
  placeOf: (endpoint: MeshEndpoint) => Locality,
): readonly Placed[] {
  const byRule = Map.groupBy(endpoints, (endpoint) =>
    Object.keys(to).find((rule) => isWithin(placeOf(endpoint), rule)),
  );
  return [...byRule].flatMap(([rule, members]) => {
    if (rule === undefined) return [];
    const localities = Map.groupBy(members, (endpoint) => textOf(placeOf(endpoint)));
    return [...localities.values()].flatMap((inIt) => {
      const weight = Math.ceil(((to[rule] ?? 0) * inIt.length) / members.length);
      const share = weight === 1 ? {} : { localityWeight: weight };
      return inIt.map((one): Placed => [one, { locality: placeOf(one), ...share }]);
    });
  });
}

/** `region/zone/subzone`; parts may be `*` or left out. */
function isWithin(place: Locality, rule: string): boolean {
  const [ruleRegion = "", ruleZone = "", ruleSubZone = ""] = rule.split("/");
  const fits = (wanted: string, have: string): boolean =>
    wanted === "*" || wanted === "" || wanted === have;
  return (
    (ruleRegion === "*" || ruleRegion === place.region) &&
    fits(ruleZone, place.zone) &&
    fits(ruleSubZone, place.subZone)
  );
}

function textOf(place: Locality | undefined): string {
  return place === undefined ? "" : `${place.region}/${place.zone}/${place.subZone}`;
}

function sortedByPlace(placed: readonly Placed[]): readonly Placed[] {
  const key = ([, { priority = 0, locality }]: Placed): string =>
    `${String(priority).padStart(3, "0")} ${textOf(locality)}`;
  return placed.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
