/**
 * The `tcp` and `tls` rules of a VirtualService: which connections they take, and where those go.
 *
 * `tls` rules are about TLS that is not opened: they go by the name that the client asks for.
 */

import type { TcpRoute } from "../../api/istio/networking.ts";
import type { FilterChain, NetworkFilter, WeightedCluster } from "../../model/proxy-config.ts";
import { matchesLabels } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import type { ProxyContext } from "./context.ts";
import { type DestinationPlace, destinationCluster } from "./destination.ts";
import { hostMatches } from "./host.ts";
import { gatewayNamed, isBound } from "./http-match.ts";
import { hostRules, rulesFor } from "./virtual-services.ts";

/** Of whose rules, and for connections to which port. */
type Asked = Pick<DestinationPlace, "rules" | "listenPort">;

/** Whether connections of this proxy to the port take the route. */
export function tcpApplies(context: ProxyContext, route: TcpRoute, asked: Asked): boolean {
  const { match = [] } = route;
  return match.length === 0 || match.some((one) => fits(context, one, asked));
}

type Match = NonNullable<TcpRoute["match"]>[number];

function fits(context: ProxyContext, match: Match, { rules, listenPort }: Asked): boolean {
  const owner = namespaceOf(rules);
  const gateways = match.gateways?.map((name) => gatewayNamed(name, owner));
  return (
    isBound(gateways, context) &&
    (match.port === undefined || match.port === listenPort) &&
    (!match.sourceNamespace || match.sourceNamespace === context.namespace) &&
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
  asked: Asked,
  offered: readonly string[],
): readonly string[] | undefined {
  const { match = [] } = route;
  if (match.length === 0) return offered;
  const fitting = match.filter((one) => fits(context, one, asked));
  if (fitting.length === 0) return undefined;
  const wanted = fitting.flatMap(({ sniHosts }) => sniHosts ?? offered);
  const names = wanted.filter((name) => offered.some((host) => hostMatches(host, name)));
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
    const place = { rules, path, listenPort };
    const names = namesTaken(context, route, place, rules.spec.hosts ?? []);
    if (names === undefined) return [];
    const clusters = tcpDestinations(context, route, place);
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
