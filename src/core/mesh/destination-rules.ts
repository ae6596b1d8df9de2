/**
 * Which DestinationRule says how a client namespace talks to a Service.
 *
 * As Istio looks them up: rules of the client's own namespace (those for its labels before those for everybody), then rules of the Service's namespace that the client
 * may see, then rules of the root namespace; in the first of these with a rule whose host matches, the most specific
 * host counts. Several rules for that very host are merged: the oldest's traffic policy, everybody's subsets, the
 * oldest's where two have the same name.
 */

import type { DestinationRule, TrafficPolicy } from "../../api/istio/networking.ts";
import { type Labels, matchesLabels } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectsOf, type World } from "../registry/world.ts";
import { mostSpecific, resolveHost } from "./host.ts";
import { memoized } from "./memo.ts";
import type { MeshService } from "./mesh-service.ts";
import { byAge, isVisible, rootNamespace } from "./visibility.ts";

export interface ClientRule {
  readonly policy: TrafficPolicy | undefined;
  readonly subsets: readonly Subset[];
  /** The rules that say so, oldest first, for notes. */
  readonly from: readonly DestinationRule[];
}

export interface Subset {
  readonly name: string;
  readonly labels: Labels;
  /** The subset's own settings over the host's. */
  readonly policy: TrafficPolicy | undefined;
}

/**
 * What is said of a port holds in the place of what is said of the host, field for field absent or not (Istio's); but for
 * what cannot be said of a port.
 */
export function policyOfPort(
  policy: TrafficPolicy | undefined,
  port: number,
): TrafficPolicy | undefined {
  const level = policy?.portLevelSettings?.find((one) => one.port?.number === port);
  if (policy === undefined || level === undefined) return policy;
  const { proxyProtocol, retryBudget } = policy;
  return {
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(retryBudget === undefined ? {} : { retryBudget }),
    ...level,
  };
}

/** Who calls, as far as rules go by that. */
export interface Client {
  readonly namespace: string;
  /** Of its pod. */
  readonly labels: Labels;
}

/** Undefined: nobody says anything, the defaults hold. */
export function ruleFor(
  world: World,
  client: Client,
  service: MeshService,
): ClientRule | undefined {
  const rules = byNamespace(objectsOf<DestinationRule>(world, "DestinationRule"));
  const places = [client.namespace, service.namespace, rootNamespace];
  for (const [index, place] of places.entries()) {
    const candidates = (rules.get(place) ?? []).filter(
      ({ rule }) =>
        isFor(rule, client) &&
        (index === 0 || isVisible(rule.spec.exportTo, place, client.namespace)),
    );
    const best = mostSpecific(candidates, ({ host }) => host, service.host);
    if (best === undefined) continue;
    const found = candidates.filter(({ host }) => host === best.host).map(({ rule }) => rule);
    const own = found.filter(selects);
    return merge(own.length > 0 ? own : found);
  }
  return undefined;
}

/** A selector means pods of the rule's own namespace. */
function isFor(rule: DestinationRule, { namespace, labels }: Client): boolean {
  const wanted = rule.spec.workloadSelector?.matchLabels;
  return !selects(rule) || (namespaceOf(rule) === namespace && matchesLabels(labels, wanted ?? {}));
}

function selects({ spec }: DestinationRule): boolean {
  return spec.workloadSelector !== undefined;
}

/**
 * Of a client's labels those that rules of its namespace ask for; clients that have the same get the same.
 */
export function labelsAskedFor(world: World, { namespace, labels }: Client): Labels {
  const asked = objectsOf<DestinationRule>(world, "DestinationRule")
    .filter((rule) => namespaceOf(rule) === namespace)
    .flatMap(({ spec }) => Object.keys(spec.workloadSelector?.matchLabels ?? {}));
  const known = new Set(asked);
  return Object.fromEntries(Object.entries(labels).filter(([name]) => known.has(name)));
}

interface ResolvedRule {
  readonly rule: DestinationRule;
  readonly host: string;
}

const byNamespace = memoized((rules: readonly DestinationRule[]) => {
  const resolved = [...rules].sort(byAge).map((rule): ResolvedRule => {
    return { rule, host: resolveHost(rule.spec.host, namespaceOf(rule)) };
  });
  return Map.groupBy(resolved, ({ rule }) => namespaceOf(rule));
});

function merge(rules: readonly DestinationRule[]): ClientRule {
  const policy = rules.find((rule) => rule.spec.trafficPolicy !== undefined)?.spec.trafficPolicy;
  const subsets = new Map<string, Subset>();
  for (const subset of rules.flatMap((rule) => rule.spec.subsets ?? [])) {
    if (subsets.has(subset.name)) continue;
    subsets.set(subset.name, {
      name: subset.name,
      labels: subset.labels ?? {},
      policy: policyOfSubset(policy, subset.trafficPolicy),
    });
  }
  return { policy, subsets: [...subsets.values()], from: rules };
}

/** The subset's own settings over the host's, also over what the host says of single ports (Istio's). */
function policyOfSubset(
  host: TrafficPolicy | undefined,
  own: TrafficPolicy | undefined,
): TrafficPolicy | undefined {
  if (host === undefined || own === undefined) return own ?? host;
  const { portLevelSettings: ports = [], ...settings } = own;
  const hostPorts = (host.portLevelSettings ?? [])
    .filter(({ port }) => !ports.some((level) => level.port?.number === port?.number))
    .map((level) => ({ ...level, ...settings }));
  return { ...host, ...settings, portLevelSettings: [...ports, ...hostPorts] };
}
