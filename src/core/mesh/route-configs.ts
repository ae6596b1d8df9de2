/**
 * Outbound route configurations: for each HTTP port one (named after the port) with a virtual host for every Service
 * that has it, and one of its own for every port whose protocol is detected.
 *
 * The names by which a Service is called from a namespace are Istio's: its full name, `name.namespace`,
 * `name.namespace.svc`, the bare name from its own namespace, its address; each with and without the port. Whatever is
 * not known goes where it wanted to go, or is refused (outbound-policy.ts).
 */

import type { Route, RouteConfig, VirtualHost } from "../../model/proxy-config.ts";
import { compareText } from "../registry/world.ts";
import { endpointCluster } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import { policyOfPort, ruleFor } from "./destination-rules.ts";
import { resolveHost } from "./host.ts";
import { defaultRoute, httpRoutes } from "./http-routes.ts";
import type { MeshPort, MeshService } from "./mesh-service.ts";
import { endpointHost, outboundCluster, passthroughCluster } from "./names.ts";
import { refusesUnknown } from "./outbound-policy.ts";
import { isHttp } from "./protocol.ts";
import { admittedServices } from "./services.ts";
import { hashKeys } from "./traffic-policy.ts";
import { hostRules, rulesFor } from "./virtual-services.ts";

export function outboundRoutes(context: ProxyContext): readonly RouteConfig[] {
  const services = admittedServices(context);
  const httpPorts = new Set<number>();
  const configs: RouteConfig[] = [];
  for (const service of services) {
    for (const port of service.ports) {
      if (isHttp(port.protocol)) httpPorts.add(port.port);
      else if (port.protocol === "detect" && !service.isHeadless) {
        configs.push(detectedRoutes(context, service, port));
      }
    }
  }
  for (const port of httpPorts) configs.push(portRoutes(context, services, port));
  return configs.sort((a, b) => compareText(a.name, b.name));
}

/** Name of the routes of a port whose protocol is detected. */
export function detectedRoutesName(service: MeshService, port: MeshPort): string {
  return `${service.host}:${port.port}`;
}

function detectedRoutes(context: ProxyContext, service: MeshService, port: MeshPort): RouteConfig {
  // The connection's address says which Service is meant, so every authority is its.
  const name = detectedRoutesName(service, port);
  return {
    name,
    virtualHosts: [{ name, domains: ["*"], routes: serviceRoutes(context, service, port) }],
  };
}

function portRoutes(
  context: ProxyContext,
  services: readonly MeshService[],
  number: number,
): RouteConfig {
  const hosts: VirtualHost[] = [];
  for (const service of services) {
    const port = service.ports.find(
      (candidate) => candidate.port === number && isHttp(candidate.protocol),
    );
    if (port === undefined) continue;
    hosts.push({
      name: `${service.host}:${number}`,
      domains: serviceDomains(context.namespace, service, number),
      routes: serviceRoutes(context, service, port),
    });
    if (service.isHeadless) hosts.push(...endpointHosts(context.namespace, service, port));
  }
  hosts.push(...foreignHosts(context, services, number));
  return {
    name: `${number}`,
    virtualHosts: [
      ...withoutDuplicates(hosts),
      refusesUnknown(context.world, context.scope) ? blockAll : allowAny,
    ],
  };
}

function serviceRoutes(
  context: ProxyContext,
  service: MeshService,
  port: MeshPort,
): readonly Route[] {
  const rules = rulesFor(hostRules(context), service.host);
  const routes = rules === undefined ? [] : httpRoutes(context, rules, port.port);
  // As in Istio: who has no rule of it for this proxy and port is served as if there were none.
  if (routes.length > 0) return routes;
  const rule = ruleFor(context.world, context, service);
  const cluster = outboundCluster(port.port, undefined, service.host);
  return [defaultRoute(cluster, hashKeys(policyOfPort(rule?.policy, port.port)))];
}

/** Pods of a headless Service by their own names, so that a member of a StatefulSet is reached and not just any. */
function endpointHosts(
  clientNamespace: string,
  service: MeshService,
  port: MeshPort,
): readonly VirtualHost[] {
  return port.endpoints.map((endpoint) => {
    const host = endpointHost(service, endpoint);
    const first = host.slice(0, host.indexOf("."));
    const names = [...serviceNames(clientNamespace, service).map((name) => `${first}.${name}`)];
    return {
      name: `${host}:${port.port}`,
      domains: withPort(names, port.port),
      routes: [defaultRoute(endpointCluster(service, port, endpoint))],
    };
  });
}

/** Hosts that VirtualServices have routes for and that are no Service, wildcards among them. */
function foreignHosts(
  context: ProxyContext,
  services: readonly MeshService[],
  port: number,
): readonly VirtualHost[] {
  const known = new Set(services.map((service) => service.host));
  return hostRules(context)
    .filter(({ host }) => !known.has(host) && host !== "*")
    .map(({ host, rules }) => ({
      name: `${host}:${port}`,
      domains: withPort([host], port),
      routes: httpRoutes(context, rules, port),
    }))
    .filter(({ routes }) => routes.length > 0);
}

const allowAny: VirtualHost = {
  name: "allow_any",
  domains: ["*"],
  routes: [
    {
      name: "allow_any",
      match: { path: { kind: "prefix", value: "/" }, headers: [], queryParameters: [] },
      action: {
        kind: "forward",
        clusters: [{ cluster: passthroughCluster, weight: 100 }],
        timeoutMs: 0,
      },
    },
  ],
};

/** Istio's answer for hosts that nobody declared, where only declared ones may be called. */
const blockAll: VirtualHost = {
  name: "block_all",
  domains: ["*"],
  routes: [
    {
      name: "block_all",
      match: { path: { kind: "prefix", value: "/" }, headers: [], queryParameters: [] },
      action: { kind: "respond", status: 502, body: "" },
    },
  ],
};

function serviceDomains(
  clientNamespace: string,
  service: MeshService,
  port: number,
): readonly string[] {
  const names = serviceNames(clientNamespace, service);
  // A range is no host that a request can name.
  const addresses = service.addresses.filter((address) => !address.includes("/"));
  return withPort([...names, ...addresses], port);
}

/**
 * From the most to the least qualified; the bare name only within the namespace. Hosts of ServiceEntries have one name.
 */
function serviceNames(clientNamespace: string, service: MeshService): readonly string[] {
  const { name, namespace } = service;
  if (service.kind === "ServiceEntry") return [service.host];
  const qualified = [service.host, `${name}.${namespace}`, `${name}.${namespace}.svc`];
  const bare = resolveHost(name, clientNamespace) === service.host ? [name] : [];
  return [...qualified, ...bare];
}

function withPort(names: readonly string[], port: number): readonly string[] {
  return names.flatMap((name) => (name.startsWith("*") ? [name] : [name, `${name}:${port}`]));
}

/** A domain may stand only once in a route configuration: whoever came first keeps it. */
function withoutDuplicates(hosts: readonly VirtualHost[]): readonly VirtualHost[] {
  const taken = new Set<string>();
  return hosts.flatMap((host) => {
    const domains = host.domains.filter((domain) => !taken.has(domain));
    for (const domain of domains) taken.add(domain);
    return domains.length === 0 ? [] : [{ ...host, domains }];
  });
}
