/**
 * What a proxy configuration does with one request or connection, step by step: an interpreter of the configuration
 * itself, not of the objects it was made from.
 *
 * Tests state Istio's semantics with it ("this request from that pod goes there"), and explanations walk it to name
 * the listener, chain, route, cluster and policy that decided.
 */

import { isIp, longestPrefix, parseCidr } from "../../base/ip.ts";
import { meshAlpn, ports } from "../../model/names.ts";
import type {
  Endpoint,
  FilterChain,
  Listener,
  NetworkFilter,
  ProxyConfig,
  Rbac,
  Route,
  RouteConfig,
  VirtualHost,
  WeightedCluster,
} from "../../model/proxy-config.ts";
import { evaluateRbac, matchesRoute, type Subject } from "./evaluate-match.ts";
import { hostMatches } from "./host.ts";

/** A request or connection that the application makes. */
export interface OutboundRequest {
  /** Where the connection goes. */
  readonly address: string;
  readonly port: number;
  /** The name that its own TLS asks for; absent: in the clear. */
  readonly serverName?: string;
  /** What it offers; absent: nothing. */
  readonly alpn?: string;
  /** Absent: not HTTP. */
  readonly http?: {
    readonly host: string;
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
  };
}

export interface OutboundWalk {
  readonly listener: string;
  readonly chain: string;
  readonly virtualHost?: string;
  readonly route?: Route;
  /** Where it may go, with the share of each; empty where the proxy answers itself. */
  readonly destinations: readonly Destination[];
}

export interface Destination {
  readonly cluster: string;
  /** Of 1. */
  readonly share: number;
  /** Undefined: connects to where the application wanted to go. */
  readonly endpoints?: readonly Endpoint[];
}

export function walkOutbound(config: ProxyConfig, request: OutboundRequest): OutboundWalk {
  const { address, port } = request;
  const listener =
    config.listeners.find((one) => isFor(one, address, port)) ??
    config.listeners.find((one) => isFor(one, "0.0.0.0", port)) ??
    named(config.listeners, "virtualOutbound");
  return walkListener(config, listener, request);
}

/** The same for what arrives at a port of a gateway. */
export function walkGateway(
  config: ProxyConfig,
  request: Omit<OutboundRequest, "address">,
): OutboundWalk {
  const listener = named(config.listeners, `0.0.0.0_${request.port}`);
  return walkListener(config, listener, request);
}

function walkListener(
  config: ProxyConfig,
  listener: Listener,
  request: Omit<OutboundRequest, "address"> & Partial<Pick<OutboundRequest, "address">>,
): OutboundWalk {
  const { port, http, serverName, alpn } = request;
  const protocol = http === undefined ? undefined : "http/1.1";
  const transport = serverName === undefined ? "raw" : "tls";
  const seen = { address: request.address, transport, serverName, alpn, protocol } as const;
  const chain = chooseChain(listener, port, seen);
  if (chain === undefined) throw new Error(`no chain of ${listener.name} takes the connection`);
  const base = { listener: listener.name, chain: chain.name };
  const { filter } = chain;
  if (filter.kind === "tcp") return { ...base, destinations: shares(config, filter.clusters) };
  const subject: Subject = {
    method: http?.method ?? "GET",
    ...pathAndQuery(http?.path ?? "/"),
    host: http?.host ?? "",
    headers: http?.headers ?? {},
    destinationPort: port,
  };
  const host = findHost(routesOf(config, filter), subject.host ?? "");
  const route = host?.routes.find((candidate) => matchesRoute(candidate.match, subject));
  return {
    ...base,
    ...(host === undefined ? {} : { virtualHost: host.name }),
    ...(route === undefined ? {} : { route }),
    destinations: route?.action.kind === "forward" ? shares(config, route.action.clusters) : [],
  };
}

/** A request or connection that arrives at the pod. */
export interface InboundRequest {
  readonly port: number;
  readonly sourceAddress?: string;
  /** `mesh` with the peer's SPIFFE id (without scheme), `own` for an application's TLS. */
  readonly tls?: { readonly kind: "mesh"; readonly principal: string } | { readonly kind: "own" };
  /** Absent: not HTTP. */
  readonly http?: OutboundRequest["http"];
}

export interface InboundWalk {
  /** `close`: no chain takes the connection. */
  readonly verdict: "allow" | "deny" | "close";
  readonly chain?: string;
  /** The policy that decided; absent where nothing allowed it, or nothing forbade it. */
  readonly by?: string;
  /** Whether the peer's identity is proven. */
  readonly isMutual: boolean;
}

export function walkInbound(config: ProxyConfig, request: InboundRequest): InboundWalk {
  const { port, tls, http } = request;
  const listener = named(config.listeners, "virtualInbound");
  const isMesh = tls?.kind === "mesh";
  const chain = chooseChain(listener, port, {
    transport: tls === undefined ? "raw" : "tls",
    alpn: isMesh ? (http === undefined ? meshAlpn.any : meshAlpn.http) : undefined,
    // Inside an application's own TLS nothing is seen.
    protocol: http === undefined || tls?.kind === "own" ? undefined : "http/1.1",
  });
  const terminates = chain?.tls !== undefined;
  // An application's TLS cannot show the mesh's certificate.
  if (chain === undefined || (terminates && !isMesh)) return { verdict: "close", isMutual: false };
  const { filter } = chain;
  const subject: Subject = {
    destinationPort: port,
    ...(request.sourceAddress === undefined ? {} : { sourceAddress: request.sourceAddress }),
    ...(isMesh && terminates ? { principal: tls.principal } : {}),
    ...(filter.kind === "http"
      ? {
          method: http?.method ?? "GET",
          ...pathAndQuery(http?.path ?? "/"),
          host: http?.host ?? "",
          headers: http?.headers ?? {},
        }
      : {}),
  };
  const rules: readonly Rbac[] = [...chain.rbac, ...(filter.kind === "http" ? filter.rbac : [])];
  return { ...evaluateRbac(rules, subject), chain: chain.name, isMutual: isMesh && terminates };
}

function isFor(listener: Listener, address: string, port: number): boolean {
  return (
    !listener.bindToPort &&
    listener.direction === "outbound" &&
    listener.address === address &&
    listener.port === port &&
    port !== ports.outbound
  );
}

function named(listeners: readonly Listener[], name: string): Listener {
  const listener = listeners.find((one) => one.name === name);
  if (listener === undefined) throw new Error(`the configuration has no listener ${name}`);
  return listener;
}

interface Seen {
  /** Where an outbound connection goes. */
  readonly address?: string | undefined;
  readonly transport: "raw" | "tls";
  /** Asked for in the ClientHello. */
  readonly serverName?: string | undefined;
  /** Offered in the ClientHello. */
  readonly alpn?: string | undefined;
  /** Detected in the first bytes, inside TLS where that is terminated. */
  readonly protocol?: string | undefined;
}

/** Port, destination, transport, server name, application protocol; each step keeps the most specific matches. */
function chooseChain(listener: Listener, port: number, seen: Seen): FilterChain | undefined {
  const byPort = specific(
    listener.filterChains,
    ({ match }) => match.destinationPort,
    (wanted) => wanted === port,
  );
  const byTransport = specific(
    byDestination(byPort, seen.address),
    ({ match }) => match.transport,
    (wanted) => wanted === seen.transport,
  );
  const byName = byServerName(byTransport, seen.serverName);
  const isNamed = (wanted: readonly string[], protocol: string | undefined): boolean =>
    protocol !== undefined && wanted.includes(protocol);
  const protocols = ({ match }: FilterChain): readonly string[] | undefined =>
    match.applicationProtocols;
  const offered = byName.find((chain) => isNamed(protocols(chain) ?? [], seen.alpn));
  const [chosen] = specific(byName, protocols, (wanted) => isNamed(wanted, seen.protocol));
  return offered ?? chosen ?? listener.defaultFilterChain;
}

/** Those of the longest prefix that the address is in, else those that name none. */
function byDestination(
  chains: readonly FilterChain[],
  address: string | undefined,
): readonly FilterChain[] {
  const reach = ({ match }: FilterChain): number =>
    // Where somebody asks by a name, nobody knows which range it is in.
    address === undefined || !isIp(address)
      ? -1
      : longestPrefix((match.destinations ?? []).map(parseCidr), address);
  const best = Math.max(-1, ...chains.map(reach));
  return chains.filter((chain) =>
    best < 0 ? chain.match.destinations === undefined : reach(chain) === best,
  );
}

function byServerName(
  chains: readonly FilterChain[],
  name: string | undefined,
): readonly FilterChain[] {
  const named = (wanted: string): readonly FilterChain[] =>
    chains.filter(({ match }) => match.serverNames?.includes(wanted));
  const candidates = chains
    .flatMap(({ match }) => match.serverNames ?? [])
    .filter((wanted) => name !== undefined && hostMatches(wanted, name))
    .sort((a, b) => Number(b === name) - Number(a === name) || b.length - a.length);
  const [best] = candidates;
  return best === undefined
    ? chains.filter(({ match }) => match.serverNames === undefined)
    : named(best);
}

function specific<T>(
  chains: readonly FilterChain[],
  field: (chain: FilterChain) => T | undefined,
  matches: (wanted: T) => boolean,
): readonly FilterChain[] {
  const hits = chains.filter((chain) => {
    const wanted = field(chain);
    return wanted !== undefined && matches(wanted);
  });
  return hits.length > 0 ? hits : chains.filter((chain) => field(chain) === undefined);
}

function routesOf(
  config: ProxyConfig,
  filter: Extract<NetworkFilter, { kind: "http" }>,
): RouteConfig | undefined {
  const { routes } = filter;
  return routes.kind === "inline"
    ? routes.config
    : config.routes.find((candidate) => candidate.name === routes.name);
}

/** Exact, then the longest `*suffix`, then `*`; with the port as it was sent, then without. */
function findHost(config: RouteConfig | undefined, authority: string): VirtualHost | undefined {
  const hosts = config?.virtualHosts ?? [];
  const withoutPort = authority.replace(/:\d+$/, "");
  for (const name of new Set([authority, withoutPort])) {
    const exact = hosts.find((host) => host.domains.includes(name.toLowerCase()));
    if (exact !== undefined) return exact;
    const wildcards = hosts
      .flatMap((host) => host.domains.map((domain) => ({ host, domain })))
      .filter(({ domain }) => domain.startsWith("*") && domain.length > 1)
      .filter(({ domain }) => name.length >= domain.length && name.endsWith(domain.slice(1)))
      .sort((a, b) => b.domain.length - a.domain.length);
    if (wildcards[0] !== undefined) return wildcards[0].host;
  }
  return hosts.find((host) => host.domains.includes("*"));
}

function shares(config: ProxyConfig, clusters: readonly WeightedCluster[]): readonly Destination[] {
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  return clusters.map(({ cluster, weight }) => {
    const discovery = config.clusters.find(({ name }) => name === cluster)?.discovery;
    const given = config.endpoints.find((one) => one.cluster === cluster)?.endpoints ?? [];
    const endpoints = discovery?.kind === "dns" ? discovery.endpoints : given;
    return {
      cluster,
      share: total === 0 ? 0 : weight / total,
      ...(discovery?.kind === "original-destination" ? {} : { endpoints }),
    };
  });
}

/** A request target in its two parts, without the question mark. */
export function pathAndQuery(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf("?");
  return mark < 0
    ? { path: target, query: "" }
    : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}
