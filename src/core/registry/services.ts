/**
 * Services and what stands behind them. EndpointSlices are the only source of endpoints: users may write their own
 * for Services without a selector, and for the others the server's controller writes them from the pods.
 *
 * Not here: making the slices (core/services), and choosing among endpoints (data plane and proxies).
 */

import type { EndpointSlice, Service, ServicePort } from "../../api/k8s/core.ts";
import { isIpv4, parseIpv4 } from "../../base/ip.ts";
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

export function servicePortsOf(service: Service): readonly ResolvedServicePort[] {
  return (service.spec.ports ?? []).map(resolvePort);
}

/** Endpoints behind one port of a Service, in whatever condition, sorted by address and port, each once. */
export function endpointsOf(
  world: World,
  service: Service,
  port: { readonly name: string; readonly protocol: Protocol },
): readonly ServiceEndpoint[] {
  const found = new Map<string, ServiceEndpoint>();
  for (const slice of slicesOf(world, namespaceOf(service), service.metadata.name)) {
    if (slice.addressType !== "IPv4") continue;
    const matching = slice.ports.find(
      (candidate) =>
        (candidate.name ?? "") === port.name && (candidate.protocol ?? "TCP") === port.protocol,
    );
    if (matching === undefined) continue;
    for (const endpoint of slice.endpoints) {
      const resolved = resolveEndpoint(endpoint, matching.port);
      if (resolved === undefined) continue;
      const key = `${resolved.address}:${resolved.port}`;
      // A slice that is being replaced may name an endpoint twice for a moment: the ready one counts.
      if (found.get(key)?.ready !== true) found.set(key, resolved);
    }
  }
  return [...found.values()].sort(
    (a, b) => parseIpv4(a.address) - parseIpv4(b.address) || a.port - b.port,
  );
}

/** The EndpointSlices of a Service, sorted by name. */
function slicesOf(world: World, namespace: string, name: string): readonly EndpointSlice[] {
  const all = objectsOf<EndpointSlice>(world, "EndpointSlice");
  let index = indexes.get(all);
  if (index === undefined) {
    index = indexByService(all);
    indexes.set(all, index);
  }
  return index.get(`${namespace}/${name}`) ?? [];
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
  port: number,
): ServiceEndpoint | undefined {
  // The API says: consumers should use the first address; all of them are the same endpoint.
  const address = endpoint.addresses[0];
  if (address === undefined || !isIpv4(address)) return undefined;
  const conditions = endpoint.conditions ?? {};
  const ready = conditions.ready ?? true; // Absent means unknown, to be taken as ready.
  return {
    address,
    port,
    ready,
    serving: conditions.serving ?? ready,
    terminating: conditions.terminating ?? false,
    ...(endpoint.nodeName === undefined ? {} : { node: endpoint.nodeName }),
    ...(endpoint.hostname === undefined ? {} : { hostname: endpoint.hostname }),
    ...(endpoint.targetRef === undefined
      ? {}
      : { pod: `${endpoint.targetRef.namespace}/${endpoint.targetRef.name}` }),
  };
}
