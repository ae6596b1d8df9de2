/**
 * Outbound listeners: what becomes of connections that the application opens.
 *
 * `virtualOutbound` takes them all and hands each to the listener of its destination: `0.0.0.0_<port>` for HTTP ports
 * (the Host header says which Service is meant), `<address>_<port>` for TCP and for ports whose protocol is detected
 * (the address says it; and where `tls` rules ask for it the name in the ClientHello). Headless Services have no address of
 * their own: each pod's stands for itself. Everything else goes where it wanted to go.
 */

import { ports } from "../../model/names.ts";
import type { FilterChain, Listener, WeightedCluster } from "../../model/proxy-config.ts";
import { endpointCluster, visibleServices } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import { blackHoleCluster, outboundCluster, passthroughCluster } from "./names.ts";
import { httpDetected, isHttp } from "./protocol.ts";
import { detectedRoutesName } from "./route-configs.ts";
import type { MeshPort, MeshService } from "./services.ts";
import { tcpApplies, tcpDestinations, tcpFilter, tlsChains, withoutTaken } from "./tcp-routes.ts";
import { hostRules, rulesFor } from "./virtual-services.ts";

export function outboundListeners(context: ProxyContext): readonly Listener[] {
  const listeners = new Map<string, Listener>();
  const add = (listener: Listener): void => {
    // Two Services may have the same HTTP port; two pods of headless Services the same address.
    if (!listeners.has(listener.name)) listeners.set(listener.name, listener);
  };
  add(virtualOutbound);
  for (const service of visibleServices(context.world, context.namespace)) {
    for (const port of service.ports) {
      for (const listener of portListeners(context, service, port)) add(listener);
    }
  }
  return [...listeners.values()];
}

function portListeners(
  context: ProxyContext,
  service: MeshService,
  port: MeshPort,
): readonly Listener[] {
  if (isHttp(port.protocol)) return [httpListener(port.port)];
  if (service.isHeadless) {
    return port.endpoints.map((endpoint) => {
      const clusters = [{ cluster: endpointCluster(service, port, endpoint), weight: 100 }];
      // The connection is to the pod's own port, which need not be the Service's.
      return addressListener(endpoint.address, endpoint.port, [], tcpChain(clusters));
    });
  }
  if (service.clusterIp === undefined) return [];
  const tcp = tcpChain(tcpClusters(context, service, port));
  const http = port.protocol === "detect" ? [detectedChain(service, port)] : [];
  const tls = withoutTaken(tlsChains(context, service.host, port.port));
  return [addressListener(service.clusterIp, port.port, [...http, ...tls], tcp)];
}

const virtualOutbound: Listener = {
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
  defaultFilterChain: passthroughChain("virtualOutbound-catchall-tcp"),
};

function httpListener(port: number): Listener {
  return {
    name: `0.0.0.0_${port}`,
    direction: "outbound",
    address: "0.0.0.0",
    port,
    bindToPort: false,
    useOriginalDestination: false,
    filterChains: [httpChain(`0.0.0.0_${port}`, `${port}`)],
    defaultFilterChain: passthroughChain("PassthroughFilterChain"),
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

function detectedChain(service: MeshService, port: MeshPort): FilterChain {
  return httpChain(`${service.clusterIp}_${port.port}`, detectedRoutesName(service, port));
}

function httpChain(name: string, routes: string): FilterChain {
  return {
    name,
    match: { transport: "raw", applicationProtocols: httpDetected },
    rbac: [],
    filter: {
      kind: "http",
      statPrefix: `outbound_${name}`,
      routes: { kind: "rds", name: routes },
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

function passthroughChain(name: string): FilterChain {
  return {
    name,
    match: {},
    rbac: [],
    filter: tcpFilter([{ cluster: passthroughCluster, weight: 100 }]),
  };
}

function tcpClusters(
  context: ProxyContext,
  service: MeshService,
  port: MeshPort,
): readonly WeightedCluster[] {
  const rules = rulesFor(hostRules(context.world, context.namespace), service.host);
  const index = (rules?.spec.tcp ?? []).findIndex((route) => tcpApplies(context, route, port.port));
  const route = rules?.spec.tcp?.[index];
  if (rules === undefined || route === undefined) {
    return [{ cluster: outboundCluster(port.port, undefined, service.host), weight: 100 }];
  }
  const place = { rules, path: `spec.tcp[${index}]`, listenPort: port.port };
  return tcpDestinations(context, route, place);
}
