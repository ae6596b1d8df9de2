/**
 * Services and what stands behind them. EndpointSlices are the only source of endpoints: users may write their own
 * for Services without a selector, and for the others the server's controller writes them from the pods.
 *
 * Not here: making the slices (core/services), and choosing among endpoints (data plane and proxies).
 */

import type { EndpointSlice, Service, ServicePort } from "../../api/k8s/core.ts";
import { compareIps, familyOf, type IpFamily, isIp, isIpv4 } from "../../base/ip.ts";
import type { Protocol } from "../../model/node-view.ts";
import { namespaceOf } from "./workloads.ts";
import { compareText, objectsOf, type World } from "./world.ts";

/** The label that ties an EndpointSlice to its Service. */
export const serviceNameLabel = "kubernetes.io/service-name";

/** A Service's port with the API's defaults filled in. */
export interface ResolvedServicePort {
  /** Empty where the Service has one unnamed port. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly targetPort: number | string;
  readonly appProtocol?: string;
}

/** An address behind a Service's port. */
export interface ServiceEndpoint {
  readonly address: string;
  readonly port: number;
  readonly ready: boolean;
  /** Answers still, although it may be on its way out. */
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly node?: string;
  readonly hostname?: string;
  /** Its share of connections beside the others'; absent means 1. */
  readonly weight?: number;
  /** Whose clients should prefer it. */
  readonly forNodes?: readonly string[];
  readonly forZones?: readonly string[];
  /** `namespace/name` of the pod, where it is one. */
  readonly pod?: string;
}

export function isHeadless(service: Service): boolean {
  return service.spec.clusterIP === "None";
}

export function isExternalName(service: Service): boolean {
  return service.spec.type === "ExternalName";
}

/** The virtual IPv4 address; undefined for headless and ExternalName Services and until one is given. */
export function clusterIpOf(service: Service): string | undefined {
  const address = service.spec.clusterIP;
  if (address === undefined || isExternalName(service) || !isIpv4(address)) return undefined;
  return address;
}

/** All its virtual addresses, the primary first. */
export function clusterIpsOf(service: Service): readonly string[] {
  const { clusterIP = "", clusterIPs = [] } = service.spec;
  if (isExternalName(service)) return [];
  return (clusterIPs.length > 0 ? clusterIPs : [clusterIP]).filter(isIp);
}

/** The family that a Service is of where only one counts. */
export function primaryFamilyOf(service: Service): IpFamily {
  const [address] = clusterIpsOf(service);
  return service.spec.ipFamilies?.[0] ?? (address === undefined ? "IPv4" : familyOf(address));
}

export function servicePortsOf(service: Service): readonly ResolvedServicePort[] {
  return (service.spec.ports ?? []).map(resolvePort);
}

type PortKey = { readonly name: string; readonly protocol: Protocol };

/** Endpoints of the Service's primary family behind one of its ports; otherwise as `allEndpointsOf`. */
export function endpointsOf(
  world: World,
  service: Service,
  port: PortKey,
): readonly ServiceEndpoint[] {
  const family = primaryFamilyOf(service);
  return allEndpointsOf(slicesOf(world, service), port).filter(
    ({ address }) => familyOf(address) === family,
  );
}

/** Endpoints behind one port, in whatever condition, sorted by address and port, each once. */
export function allEndpointsOf(
  slices: readonly EndpointSlice[],
  port: PortKey,
): readonly ServiceEndpoint[] {
  const found = new Map<string, ServiceEndpoint>();
  for (const slice of slices) {
    const matching = slice.ports.find(
      (candidate) =>
        (candidate.name ?? "") === port.name && (candidate.protocol ?? "TCP") === port.protocol,
    );
    if (matching === undefined) continue;
    const weights = weightsOf(slice);
    for (const endpoint of slice.endpoints) {
      const resolved = resolveEndpoint(endpoint, slice.addressType, matching.port, weights);
      if (resolved === undefined) continue;
      const key = `${resolved.address} ${resolved.port}`;
      // A slice that is being replaced may name an endpoint twice for a moment: the ready one counts.
      if (found.get(key)?.ready !== true) found.set(key, resolved);
    }
  }
  return [...found.values()].sort((a, b) => compareIps(a.address, b.address) || a.port - b.port);
}

/** The annotation of a slice with its endpoints' weights: `10.244.0.1=3,10.244.0.2=1`. The rest weigh 1. */
export const weightsAnnotation = "heddle.dev/weights";

function weightsOf(slice: EndpointSlice): ReadonlyMap<string, number> {
  const text = slice.metadata.annotations?.[weightsAnnotation];
  if (text === undefined) return noWeights;
  return new Map(
    text.split(",").flatMap((part) => {
      const [address = "", weight = ""] = part.trim().split("=");
      return /^\d{1,4}$/.test(weight) ? [[address, Number(weight)]] : [];
    }),
  );
}

const noWeights: ReadonlyMap<string, number> = new Map();

/** The EndpointSlices of a Service, sorted by name. */
export function slicesOf(world: World, service: Service): readonly EndpointSlice[] {
  const all = objectsOf<EndpointSlice>(world, "EndpointSlice");
  let index = indexes.get(all);
  if (index === undefined) {
    index = indexByService(all);
    indexes.set(all, index);
  }
  return index.get(`${namespaceOf(service)}/${service.metadata.name}`) ?? [];
}

const indexes = new WeakMap<
  readonly EndpointSlice[],
  ReadonlyMap<string, readonly EndpointSlice[]>
>();

function indexByService(
  slices: readonly EndpointSlice[],
): ReadonlyMap<string, readonly EndpointSlice[]> {
  const index = new Map<string, EndpointSlice[]>();
  for (const slice of slices) {
    const service = slice.metadata.labels?.[serviceNameLabel];
    if (service === undefined) continue;
    const key = `${namespaceOf(slice)}/${service}`;
    const list = index.get(key);
    if (list === undefined) index.set(key, [slice]);
    else list.push(slice);
  }
  for (const list of index.values()) {
    list.sort((a, b) => compareText(a.metadata.name, b.metadata.name));
  }
  return index;
}

function resolvePort(port: ServicePort): ResolvedServicePort {
  return {
    name: port.name ?? "",
    protocol: port.protocol ?? "TCP",
    port: port.port,
    targetPort: port.targetPort ?? port.port,
    ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
  };
}

function resolveEndpoint(
  endpoint: EndpointSlice["endpoints"][number],
  type: EndpointSlice["addressType"],
  port: number,
  weights: ReadonlyMap<string, number>,
): ServiceEndpoint | undefined {
  // The API says: consumers should use the first address; all of them are the same endpoint.
  const address = endpoint.addresses[0];
  if (address === undefined || !isIp(address) || familyOf(address) !== type) return undefined;
  const conditions = endpoint.conditions ?? {};
  const weight = weights.get(address);
  const { forNodes, forZones } = endpoint.hints ?? {};
  const ready = conditions.ready ?? true; // Absent means unknown, to be taken as ready.
  return {
    address,
    port,
    ready,
    serving: conditions.serving ?? ready,
    terminating: conditions.terminating ?? false,
    ...(endpoint.nodeName === undefined ? {} : { node: endpoint.nodeName }),
    ...(endpoint.hostname === undefined ? {} : { hostname: endpoint.hostname }),
    ...(weight === undefined ? {} : { weight }),
    ...(forNodes === undefined ? {} : { forNodes: forNodes.map(({ name }) => name) }),
    ...(forZones === undefined ? {} : { forZones: forZones.map(({ name }) => name) }),
    ...(endpoint.targetRef === undefined
      ? {}
      : { pod: `${endpoint.targetRef.namespace}/${endpoint.targetRef.name}` }),
  };
}
