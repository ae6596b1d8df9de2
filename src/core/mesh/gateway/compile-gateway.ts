/**
 * The configuration of a gateway: a proxy that serves ports of its own for clients outside, and calls Services as a
 * sidecar does.
 *
 * One listener for each port. A plain HTTP port is one chain; of a TLS port each server is one, chosen by the server
 * name that the client asks for, which is opened with the server's certificate or passed on as it is. Policies that
 * select the gateway's pod hold for what it serves.
 *
 * Not here: Services, subsets and their settings, which are those of every proxy of the namespace (clusters.ts).
 */

import type { Pod } from "../../../api/k8s/core.ts";
import type { Compiled } from "../../../base/compiled.ts";
import type {
  DownstreamTls,
  FilterChain,
  FilterChainMatch,
  Listener,
  ProxyConfig,
  ProxyNode,
} from "../../../model/proxy-config.ts";
import { compareText } from "../../registry/world.ts";
import { authorizationOf, type WorkloadAuthorization } from "../authorization.ts";
import { placeOf } from "../client-place.ts";
import { outboundClusters } from "../clusters.ts";
import type { ProxyContext } from "../context.ts";
import { portsBehindServices } from "../inbound.ts";
import { certificateSecret, meshAlpn, validationSecret } from "../names.ts";
import { caSecretName } from "../secrets.ts";
import { commonChain } from "../shared-listener.ts";
import { namesTaken, tcpDestinations, tcpFilter, withoutTaken } from "../tcp-routes.ts";
import { passingChains, passingClusters } from "./auto-passthrough.ts";
import { bindingsOf } from "./bindings.ts";
import { gatewayRoutes, routesName } from "./routes.ts";
import { type Server, serversByPort } from "./servers.ts";
import { type Topology, topologyOf } from "./topology.ts";

export function compileGateway(
  context: ProxyContext,
  pod: Pod,
  proxy: ProxyNode,
): Compiled<Pick<ProxyConfig, "listeners" | "routes" | "clusters" | "endpoints">> {
  const { world, namespace, labels } = context;
  const authorization = authorizationOf(world, namespace, labels);
  for (const note of authorization.notes) context.note(note);
  const targets = new Map(
    portsBehindServices(world, pod, proxy.address).map(({ port, number }) => [port.port, number]),
  );
  const topology = topologyOf(context, pod);
  const ports = [...serversByPort(context, targets)];
  const routes = ports.flatMap(([, servers]) => routesOf(context, servers));
  const place = placeOf(world, pod);
  const shared = outboundClusters(world, context, place);
  const passing = passingClusters(
    context,
    ports.flatMap(([, servers]) => servers),
    place,
  );
  const extra = [...context.extraClusters.values()];
  const endpoints = [
    ...shared.endpoints,
    ...passing.endpoints,
    ...extra.map(([, endpoints]) => endpoints),
  ];
  return {
    value: {
      listeners: ports.map(([port, servers]) =>
        listener(port, chainsOf(context, servers, authorization), topology),
      ),
      routes: routes.sort((a, b) => compareText(a.name, b.name)),
      clusters: [...shared.clusters, ...passing.clusters, ...extra.map(([cluster]) => cluster)],
      endpoints: endpoints.sort((a, b) => compareText(a.cluster, b.cluster)),
    },
    diagnostics: [...shared.notes, ...context.notes],
  };
}

function listener(
  port: number,
  filterChains: readonly FilterChain[],
  { trustedProxies, proxyProtocol }: Topology,
): Listener {
  return {
    name: `0.0.0.0_${port}`,
    direction: "outbound",
    address: "0.0.0.0",
    port,
    bindToPort: true,
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    useOriginalDestination: false,
    filterChains:
      trustedProxies === undefined
        ? filterChains
        : filterChains.map((chain) => behind(trustedProxies, chain)),
  };
}

function behind(trustedProxies: number, chain: FilterChain): FilterChain {
  const { filter } = chain;
  return filter.kind === "http" ? { ...chain, filter: { ...filter, trustedProxies } } : chain;
}

function routesOf(context: ProxyContext, servers: readonly Server[]): ProxyConfig["routes"] {
  const http = servers.filter(({ is }) => is.kind === "http" || is.kind === "https");
  return [...Map.groupBy(http, routesName).values()].map((same) => gatewayRoutes(context, same));
}

function chainsOf(
  context: ProxyContext,
  servers: readonly Server[],
  authorization: WorkloadAuthorization,
): readonly FilterChain[] {
  // Plain servers share one chain: their routes are one configuration.
  const chainsFor = (server: Server) => serverChains(context, server, authorization);
  const isPlain = ({ is }: Server): boolean => is.kind === "http";
  const shared = commonChain(servers.filter(isPlain).flatMap(chainsFor));
  const own = servers.filter((server) => !isPlain(server)).flatMap(chainsFor);
  return withoutTaken(shared === undefined ? own : [shared, ...own]);
}

function serverChains(
  context: ProxyContext,
  server: Server,
  authorization: WorkloadAuthorization,
): readonly FilterChain[] {
  const name = routesName(server);
  switch (server.is.kind) {
    case "http":
      return [{ ...httpChain(name, authorization, server.is.isGrpcWeb), match: {} }];
    case "https": {
      const match = { transport: "tls" as const, ...serverNames(server) };
      return [{ ...httpChain(name, authorization), match, tls: tlsOf(context, server) }];
    }
    case "tls": {
      const tls = tlsOf(context, server);
      return tcpChains(context, server, authorization).map((chain) => ({ ...chain, tls }));
    }
    case "auto-passthrough":
      return passingChains(context, server);
    case "passthrough":
    case "tcp":
      return tcpChains(context, server, authorization);
  }
}

function httpChain(
  name: string,
  { http }: WorkloadAuthorization,
  isGrpcWeb = false,
): Omit<FilterChain, "match"> {
  const routes = { kind: "rds" as const, name };
  const filter = { kind: "http" as const, statPrefix: `outbound_${name}`, routes, rbac: http };
  const translation = isGrpcWeb ? { translatesGrpcWeb: true } : {};
  return { name, rbac: [], filter: { ...filter, ...translation, isEdge: true } };
}

/** A name that every server takes stands for no name at all. */
function serverNames({ hosts }: Server): Pick<FilterChainMatch, "serverNames"> {
  const names = hosts.map(({ host }) => host);
  return names.includes("*") ? {} : { serverNames: names };
}

/** `tls` routes by the name that is asked for, where TLS is not opened; `tcp` routes else. */
function tcpChains(
  context: ProxyContext,
  server: Server,
  { tcp }: WorkloadAuthorization,
): readonly FilterChain[] {
  const at = context.at(server.key);
  const { number } = server.written.port;
  const isPassed = server.is.kind === "passthrough";
  return bindingsOf(context, server).flatMap(({ rules, hosts }) => {
    const all = isPassed ? rules.spec.tls : rules.spec.tcp;
    return (all ?? []).flatMap((route, index): readonly FilterChain[] => {
      const path = `spec.${isPassed ? "tls" : "tcp"}[${index}]`;
      const place = { rules, path, listenPort: number };
      const names = namesTaken(at, route, place, hosts);
      if (names === undefined) return [];
      const isTls = server.is.kind !== "tcp";
      return [
        {
          name: `${server.key}.${number}.${rules.metadata.name}.${path}`,
          match: {
            ...(isTls ? { transport: "tls" as const } : {}),
            ...(isTls && !names.includes("*") ? { serverNames: names } : {}),
          },
          rbac: tcp,
          filter: tcpFilter(tcpDestinations(at, route, place)),
        },
      ];
    });
  });
}

/** Mesh TLS for ISTIO_MUTUAL; else the user's own certificate, and clients judged as the server says. */
function tlsOf({ namespace }: ProxyContext, { is }: Server): DownstreamTls {
  if (is.kind !== "https" && is.kind !== "tls")
    throw new TypeError(`a ${is.kind} server has no TLS`);
  const { tls, certificate } = is;
  const http = is.kind === "https";
  if (certificate === undefined) {
    return {
      requireClientCertificate: true,
      alpn: http ? [meshAlpn.http2, meshAlpn.http, meshAlpn.any] : [meshAlpn.any],
      certificate: certificateSecret,
      validation: validationSecret,
      clients: { kind: "mesh" },
    };
  }
  const asks = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
  const judges = tls.caCertCredentialName || tls.credentialName || "";
  return {
    requireClientCertificate: tls.mode === "MUTUAL",
    alpn: http ? ["h2", "http/1.1"] : [],
    certificate,
    ...(asks ? { validation: caSecretName(namespace, judges) } : {}),
    clients: {
      kind: "anyone",
      names: tls.subjectAltNames ?? [],
      leastVersion: tls.minProtocolVersion === "TLSV1_3" ? "TLSv1.3" : "TLSv1.2",
      ...(tls.maxProtocolVersion === "TLSV1_2" ? { mostVersion: "TLSv1.2" } : {}),
    },
  };
}
