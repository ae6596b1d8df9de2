/**
 * The Services of a world as the mesh sees them: TCP ports with their protocols, and endpoints with their workloads.
 *
 * Made once for the objects it depends on and shared by all proxies.
 */

import type { Pod, Service } from "../../api/k8s/core.ts";
import { serviceHost } from "../../model/names.ts";
import type { WorkloadLabels } from "../../model/proxy-config.ts";
import type { Labels } from "../registry/selector.ts";
import {
  clusterIpOf,
  endpointsOf,
  isExternalName,
  isHeadless,
  type ServiceEndpoint,
  servicePortsOf,
} from "../registry/services.ts";
import {
  isGateway,
  isMeshed,
  namespaceOf,
  serviceAccountOf,
  workloadLabelsOf,
} from "../registry/workloads.ts";
import { objectNamed, objectsOf, type World } from "../registry/world.ts";
import { memoized, memoizedByKinds } from "./memo.ts";
import { modeOfPort, modesOf, type WorkloadModes } from "./peer-authentication.ts";
import { type PortProtocol, protocolOf } from "./protocol.ts";

export interface MeshService {
  readonly namespace: string;
  readonly name: string;
  /** Its DNS name. */
  readonly host: string;
  /** Undefined for headless Services, and until one is given. */
  readonly clusterIp?: string;
  readonly isHeadless: boolean;
  readonly trafficDistribution?: NonNullable<Service["spec"]["trafficDistribution"]>;
  readonly exportTo?: readonly string[];
  readonly ports: readonly MeshPort[];
}

export interface MeshPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: PortProtocol;
  /** Those that traffic may go to, by address. */
  readonly endpoints: readonly MeshEndpoint[];
  /** `namespace/account` of the pods behind it, ready or not, sorted: whom a client may meet there. */
  readonly accounts: readonly string[];
}

export interface MeshEndpoint {
  readonly address: string;
  readonly port: number;
  readonly labels: Labels;
  /** Its sidecar takes mesh TLS on this port. */
  readonly takesMeshTls: boolean;
  /** The first label of its own DNS name, where it has one. */
  readonly hostname?: string;
  readonly node?: string;
  readonly workload?: WorkloadLabels;
}

/** What Services, as the mesh sees them, depend on. */
export const serviceKinds: readonly string[] = [
  "Service",
  "EndpointSlice",
  "Pod",
  "PeerAuthentication",
];

/** Sorted by namespace and name. ExternalName Services are not among them: they are names, not destinations. */
export const meshServices: (world: World) => readonly MeshService[] = memoizedByKinds(
  serviceKinds,
  (world) => {
    const modes = new Map<string, WorkloadModes>();
    return objectsOf<Service>(world, "Service")
      .filter((service) => !isExternalName(service))
      .map((service) => meshService(world, service, modes));
  },
);

const byHost = memoized(
  (services: readonly MeshService[]) => new Map(services.map((service) => [service.host, service])),
);

export function serviceOfHost(world: World, host: string): MeshService | undefined {
  return byHost(meshServices(world)).get(host);
}

function meshService(
  world: World,
  service: Service,
  modes: Map<string, WorkloadModes>,
): MeshService {
  const namespace = namespaceOf(service);
  const { name, annotations } = service.metadata;
  const { trafficDistribution } = service.spec;
  const clusterIp = clusterIpOf(service);
  const exported = annotations?.["networking.istio.io/exportTo"];
  return {
    namespace,
    name,
    host: serviceHost(namespace, name),
    ...(clusterIp === undefined ? {} : { clusterIp }),
    isHeadless: isHeadless(service),
    ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
    ...(exported === undefined ? {} : { exportTo: exported.split(",").map((part) => part.trim()) }),
    ports: servicePortsOf(service)
      .filter((port) => port.protocol === "TCP")
      .map((port) => {
        const all = endpointsOf(world, service, port);
        return {
          name: port.name,
          port: port.port,
          protocol: protocolOf(port),
          endpoints: usable(all).map((endpoint) => meshEndpoint(world, endpoint, modes)),
          accounts: accountsOf(world, all),
        };
      }),
  };
}

/** While all that is left is on its way out but answers, that is better than nothing (KEP-1669). */
function usable(all: readonly ServiceEndpoint[]): readonly ServiceEndpoint[] {
  const ready = all.filter((endpoint) => endpoint.ready);
  return ready.length > 0
    ? ready
    : all.filter((endpoint) => endpoint.serving && endpoint.terminating);
}

function meshEndpoint(
  world: World,
  endpoint: ServiceEndpoint,
  modes: Map<string, WorkloadModes>,
): MeshEndpoint {
  const { address, port, hostname, node } = endpoint;
  const pod = podOf(world, endpoint);
  const base = {
    address,
    port,
    ...(hostname === undefined ? {} : { hostname }),
    ...(node === undefined ? {} : { node }),
  };
  if (pod === undefined) return { ...base, labels: {}, takesMeshTls: false };
  const key = endpoint.pod ?? "";
  const known = modes.get(key) ?? modesOf(world, namespaceOf(pod), pod.metadata.labels ?? {});
  modes.set(key, known);
  return {
    ...base,
    labels: pod.metadata.labels ?? {},
    takesMeshTls: isMeshed(pod) && !isGateway(pod) && modeOfPort(known, port) !== "DISABLE",
    workload: workloadLabelsOf(pod),
  };
}

function accountsOf(world: World, endpoints: readonly ServiceEndpoint[]): readonly string[] {
  const accounts = endpoints.flatMap((endpoint) => {
    const pod = podOf(world, endpoint);
    return pod === undefined ? [] : [`${namespaceOf(pod)}/${serviceAccountOf(pod)}`];
  });
  return [...new Set(accounts)].sort();
}

function podOf(world: World, endpoint: ServiceEndpoint): Pod | undefined {
  if (endpoint.pod === undefined) return undefined;
  const [namespace = "", name = ""] = endpoint.pod.split("/");
  return objectNamed<Pod>(world, "Pod", namespace, name);
}
