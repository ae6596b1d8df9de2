/**
 * The `tcp` and `tls` rules of a VirtualService: which connections they take, and where those go.
 *
 * `tls` rules are about TLS that is not opened: they go by the name that the client asks for.
 */

import type { TcpRoute } from "../../api/istio/networking.ts";
import type { FilterChain, NetworkFilter, WeightedCluster } from "../../model/proxy-config.ts";
import { matchesLabels } from "../registry/selector.ts";
import type { ProxyContext } from "./context.ts";
import { type DestinationPlace, destinationCluster } from "./destination.ts";
import { hostMatches } from "./host.ts";
import { isBound } from "./http-match.ts";
import { hostRules, rulesFor } from "./virtual-services.ts";

/** Whether connections of this proxy to the port take the route. */
export function tcpApplies(context: ProxyContext, route: TcpRoute, port: number): boolean {
  return route.match === undefined || route.match.some((match) => fits(context, match, port));
}

type Match = NonNullable<TcpRoute["match"]>[number];

function fits(context: ProxyContext, match: Match, port: number): boolean {
  return (
    isBound(match.gateways, context) &&
    (match.port === undefined || match.port === port) &&
    matchesLabels(context.labels, match.sourceLabels ?? {})
  );
}

/**
 * The names that a rule takes of those that are on offer (`*`: any); undefined where none of its matches is for this
 * port and proxy. A `tcp` rule goes by no name.
 */
export function namesTaken(
  context: ProxyContext,
  route: TcpRoute,
  port: number,
  offered: readonly string[],
): readonly string[] | undefined {
  if (route.match === undefined) return offered;
  const fitting = route.match.filter((match) => fits(context, match, port));
  if (fitting.length === 0) return undefined;
  const asked = fitting.flatMap(({ sniHosts }) => sniHosts ?? offered);
  const names = asked.filter((name) => offered.some((host) => hostMatches(host, name)));
  return names.length === 0 ? undefined : [...new Set(names)];
}

/** `place`: of the rule; weights of zero are left out beside others. */
export function tcpDestinations(
  context: ProxyContext,
  route: TcpRoute,
  place: DestinationPlace,
): readonly WeightedCluster[] {
  const destinations = route.route ?? [];
  return destinations.flatMap((to, index) => {
    const weight = destinations.length === 1 ? 100 : (to.weight ?? 0);
    if (weight === 0) return [];
    const at = { ...place, path: `${place.path}.route[${index}].destination` };
    return [{ cluster: destinationCluster(context, to.destination, at), weight }];
  });
}

/** Chains for the `tls` rules that are for a host of the mesh. */
export function tlsChains(
  context: ProxyContext,
  host: string,
  listenPort: number,
): readonly FilterChain[] {
  const rules = rulesFor(hostRules(context), host);
  if (rules === undefined) return [];
  return (rules.spec.tls ?? []).flatMap((route, index): readonly FilterChain[] => {
    const path = `spec.tls[${index}]`;
    const names = namesTaken(context, route, listenPort, rules.spec.hosts ?? []);
    if (names === undefined) return [];
    const clusters = tcpDestinations(context, route, { rules, path, listenPort });
    const match = { transport: "tls" as const, serverNames: names };
    return [
      { name: `${host}_${listenPort}_${path}`, match, rbac: [], filter: tcpFilter(clusters) },
    ];
  });
}

export function tcpFilter(clusters: readonly WeightedCluster[]): NetworkFilter {
  return { kind: "tcp", statPrefix: clusters[0]?.cluster ?? "", clusters };
}

/** Of chains that ask for the same name the first has it: two that match alike could not be told apart. */
export function withoutTaken(chains: readonly FilterChain[]): readonly FilterChain[] {
  const taken = new Set<string>();
  return chains.flatMap((chain) => {
    const { serverNames } = chain.match;
    const free = (serverNames ?? ["*"]).filter((name) => !taken.has(name));
    for (const name of free) taken.add(name);
    if (free.length === 0) return [];
    return [
      serverNames === undefined
        ? chain
        : { ...chain, match: { ...chain.match, serverNames: free } },
    ];
  });
}
