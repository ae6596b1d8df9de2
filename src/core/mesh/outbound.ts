/**
 * Outbound listeners: what becomes of connections that the application opens.
 *
 * `virtualOutbound` takes them all and hands each to the listener of its destination: `0.0.0.0_<port>` for HTTP ports
 * (the Host header says which Service is meant), `<address>_<port>` for TCP and for ports whose protocol is detected
 * (the address says it; and where `tls` rules ask for it the name in the ClientHello). Headless Services have no
 * address of their own: each pod's stands for itself. ServiceEntries without an address share a port's listener by name
 * (shared-listener.ts). Everything else goes where it wanted to go, or nowhere (outbound-policy.ts).
 */

import { ports } from "../../model/names.ts";
import type {
  FilterChain,
  FilterChainMatch,
  Listener,
  WeightedCluster,
} from "../../model/proxy-config.ts";
import { isHostAddress } from "../services/host-addresses.ts";
import { endpointCluster } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import type { MeshPort, MeshService } from "./mesh-service.ts";
import { blackHoleCluster, outboundCluster, passthroughCluster } from "./names.ts";
import { refusesUnknown } from "./outbound-policy.ts";
import { httpDetected, isHttp } from "./protocol.ts";
import { detectedRoutesName } from "./route-configs.ts";
import { admittedServices } from "./services.ts";
import { type SharedPart, sharedListener } from "./shared-listener.ts";
import { tcpApplies, tcpDestinations, tcpFilter, tlsChains, withoutTaken } from "./tcp-routes.ts";
import { hostRules, rulesFor } from "./virtual-services.ts";

export function outboundListeners(context: ProxyContext): readonly Listener[] {
  const listeners = new Map<string, Listener>();
  const shared = new Map<number, SharedPart[]>();
  const unknownTo = refusesUnknown(context.world, context.scope)
    ? blackHoleCluster
    : passthroughCluster;
  for (const service of admittedServices(context)) {
    for (const port of service.ports) {
      for (const listener of ownListeners(context, service, port)) {
        // Two pods of headless Services may have the same address.
        if (!listeners.has(listener.name)) listeners.set(listener.name, listener);
      }
      const part = sharedPart(context, service, port);
      if (part === undefined) continue;
      const parts = shared.get(port.port);
      if (parts === undefined) shared.set(port.port, [part]);
      else parts.push(part);
    }
  }
  return [
    virtualOutbound(unknownTo),
    ...listeners.values(),
    ...[...shared].map(([port, parts]) =>
      sharedListener(port, parts, chainTo(unknownTo, "PassthroughFilterChain")),
    ),
  ];
}

/** Those at addresses that mean this destination and no other. */
function ownListeners(
  context: ProxyContext,
  service: MeshService,
  port: MeshPort,
): readonly Listener[] {
  if (isHttp(port.protocol)) return [];
  if (service.isHeadless) {
    return port.endpoints.map((endpoint) => {
      const clusters = [{ cluster: endpointCluster(service, port, endpoint), weight: 100 }];
      // The connection is to the pod's own port, which need not be the Service's.
      return addressListener(endpoint.address, endpoint.port, [], tcpChain(clusters));
    });
  }
  return service.addresses.filter(isWhole).map((address) => {
    const tcp = tcpChain(tcpClusters(context, service, port));
    const http = port.protocol === "detect" ? [detectedChain(address, service, port)] : [];
    const tls = withoutTaken(tlsChains(context, service.host, port.port));
    return addressListener(address, port.port, [...http, ...tls], tcp);
  });
}

/** Its part of the listener that is the port's. */
function sharedPart(
  context: ProxyContext,
  service: MeshService,
  port: MeshPort,
): SharedPart | undefined {
  if (isHttp(port.protocol)) {
    const isWeb = port.protocol === "grpc-web";
    return { http: httpChain(`0.0.0.0_${port.port}`, `${port.port}`, isWeb) };
  }
  if (service.kind === "Service") return undefined;
  const destinations = service.addresses.filter((address) => !isWhole(address));
  // An address that was given is known to those who ask our name server: TLS from others is told by its name still.
  const isKnownOtherwise = port.isTls === true && service.addresses.every(isHostAddress);
  if (destinations.length === 0 && service.addresses.length > 0 && !isKnownOtherwise) {
    return undefined;
  }
  const clusters = tcpClusters(context, service, port);
  const named = port.isTls === true ? namedChains(context, service, port, clusters) : [];
  const tcp = tcpChain(clusters);
  if (destinations.length > 0) {
    const within = (chain: FilterChain): FilterChain => ({
      ...chain,
      match: { ...chain.match, destinations },
    });
    return { ranged: (port.isTls === true ? named : [tcp]).map(within) };
  }
  return port.isTls === true ? { named } : { rest: tcp };
}

/** By the rules of a VirtualService, else by the host itself. */
function namedChains(
  context: ProxyContext,
  { host }: MeshService,
  port: MeshPort,
  clusters: readonly WeightedCluster[],
): readonly FilterChain[] {
  const ruled = tlsChains(context, host, port.port);
  if (ruled.length > 0) return ruled;
  const match: FilterChainMatch = { transport: "tls", serverNames: [host] };
  return [{ ...tcpChain(clusters), match }];
}

function isWhole(address: string): boolean {
  return !address.includes("/");
}

function virtualOutbound(unknownTo: string): Listener {
  return {
    name: "virtualOutbound",
    direction: "outbound",
    address: "0.0.0.0",
    port: ports.outbound,
    bindToPort: true,
    useOriginalDestination: true,
    filterChains: [
      // A connection to the listener itself would be handed to it for ever.
      {
        name: "virtualOutbound-trafficloop",
        match: { destinationPort: ports.outbound },
        rbac: [],
        filter: tcpFilter([{ cluster: blackHoleCluster, weight: 100 }]),
      },
    ],
    defaultFilterChain: chainTo(unknownTo, "virtualOutbound-catchall-tcp"),
  };
}

function addressListener(
  address: string,
  port: number,
  chains: readonly FilterChain[],
  fallback: FilterChain,
): Listener {
  return {
    name: `${address}_${port}`,
    direction: "outbound",
    address,
    port,
    bindToPort: false,
    useOriginalDestination: false,
    filterChains: chains,
    defaultFilterChain: fallback,
  };
}

function detectedChain(address: string, service: MeshService, port: MeshPort): FilterChain {
  return httpChain(`${address}_${port.port}`, detectedRoutesName(service, port));
}

function httpChain(name: string, routes: string, isGrpcWeb = false): FilterChain {
  return {
    name,
    match: { transport: "raw", applicationProtocols: httpDetected },
    rbac: [],
    filter: {
      kind: "http",
      statPrefix: `outbound_${name}`,
      routes: { kind: "rds", name: routes },
      ...(isGrpcWeb ? { translatesGrpcWeb: true } : {}),
      rbac: [],
    },
  };
}

function tcpChain(clusters: readonly WeightedCluster[]): FilterChain {
  return {
    name: clusters[0]?.cluster ?? "",
    match: {},
    rbac: [],
    filter: tcpFilter(clusters),
  };
}

function chainTo(cluster: string, name: string): FilterChain {
  return { name, match: {}, rbac: [], filter: tcpFilter([{ cluster, weight: 100 }]) };
}

function tcpClusters(
  context: ProxyContext,
  service: MeshService,
  port: MeshPort,
): readonly WeightedCluster[] {
  const rules = rulesFor(hostRules(context), service.host);
  const straight = [{ cluster: outboundCluster(port.port, undefined, service.host), weight: 100 }];
  if (rules === undefined) return straight;
  const asked = { rules, listenPort: port.port };
  const index = (rules.spec.tcp ?? []).findIndex((route) => tcpApplies(context, route, asked));
  const route = rules.spec.tcp?.[index];
  if (route === undefined) return straight;
  return tcpDestinations(context, route, { ...asked, path: `spec.tcp[${index}]` });
}
