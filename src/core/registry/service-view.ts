/**
 * What a node must know of one Service: its addresses of every kind, its policies, and its endpoints as they are.
 *
 * Which of the endpoints a node uses is the node's to decide (core/dataplane/services): it depends on where it is. A
 * Service whose object and slices are the same values gives the same value, so what is made from it can be kept.
 */

import { balancingAnnotation, type EndpointSlice, type Service } from "../../api/k8s/core.ts";
import { familyOf, isIp, parseCidr } from "../../base/ip.ts";
import type {
  EndpointView,
  ExternalAddress,
  ServicePortView,
  ServiceView,
} from "../../model/node-view.ts";
import {
  allEndpointsOf,
  clusterIpOf,
  clusterIpsOf,
  isExternalName,
  type ServiceEndpoint,
  servicePortsOf,
  slicesOf,
} from "./services.ts";
import { namespaceOf } from "./workloads.ts";
import type { World } from "./world.ts";

const defaultAffinitySeconds = 10_800; // the Kubernetes API's

export function serviceView(world: World, service: Service): ServiceView {
  const slices = slicesOf(world, service);
  const known = remembered.get(service);
  if (known !== undefined && sameValues(known.slices, slices)) return known.view;
  const view = makeView(service, slices);
  remembered.set(service, { slices, view });
  return view;
}

const remembered = new WeakMap<
  Service,
  { readonly slices: readonly EndpointSlice[]; readonly view: ServiceView }
>();

function sameValues(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((each, index) => each === b[index]));
}

function makeView(service: Service, slices: readonly EndpointSlice[]): ServiceView {
  const { spec, metadata } = service;
  const clusterIp = clusterIpOf(service);
  const clusterIps = clusterIpsOf(service);
  const external = externalAddresses(service);
  return {
    namespace: namespaceOf(service),
    name: metadata.name,
    ...(clusterIp === undefined ? {} : { clusterIp }),
    ...(clusterIps.some((each) => each !== clusterIp) ? { clusterIps } : {}),
    ...(isExternalName(service) && spec.externalName !== undefined
      ? { externalName: spec.externalName }
      : {}),
    ...(external.length === 0 ? {} : { external }),
    ...(clusterIps.length === 0 ? {} : policiesOf(service)),
    ports: servicePortsOf(service).map(({ name, protocol, port }, index) => {
      const nodePort = spec.ports?.[index]?.nodePort;
      return {
        name,
        protocol,
        port,
        ...(nodePort === undefined || nodePort === 0 ? {} : { nodePort }),
        ...endpointViews(allEndpointsOf(slices, { name, protocol })),
      };
    }),
  };
}

function policiesOf({ spec, metadata }: Service): Partial<ServiceView> {
  const ranges = (spec.loadBalancerSourceRanges ?? []).map((text) => parseCidr(text.trim()));
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? defaultAffinitySeconds;
  const health = spec.healthCheckNodePort ?? 0;
  return {
    ...(ranges.length === 0 ? {} : { sourceRanges: ranges }),
    ...(spec.internalTrafficPolicy === "Local" ? { internalLocal: true } : {}),
    ...(spec.externalTrafficPolicy === "Local" ? { externalLocal: true } : {}),
    ...(spec.sessionAffinity === "ClientIP" ? { affinitySeconds: seconds } : {}),
    ...(metadata.annotations?.[balancingAnnotation] === "maglev" ? { balancing: "maglev" } : {}),
    ...(spec.externalTrafficPolicy === "Local" && health > 0
      ? { healthCheckNodePort: health }
      : {}),
  };
}

/** Of the families that the Service is of; a balancer that ends connections itself is no address of ours. */
function externalAddresses(service: Service): readonly ExternalAddress[] {
  const families = new Set(clusterIpsOf(service).map(familyOf));
  const usable = (address: string) => isIp(address) && families.has(familyOf(address));
  const balancers = (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode }) =>
    ip === undefined || ipMode === "Proxy" ? [] : [ip],
  );
  return [
    ...(service.spec.externalIPs ?? [])
      .filter(usable)
      .map((address) => ({ kind: "external-ip" as const, address })),
    ...balancers.filter(usable).map((address) => ({ kind: "load-balancer" as const, address })),
  ];
}

function endpointViews(
  endpoints: readonly ServiceEndpoint[],
): Pick<ServicePortView, "endpoints" | "draining"> {
  const draining = endpoints.filter(
    ({ ready, serving, terminating }) => !ready && serving && terminating,
  );
  return {
    endpoints: endpoints.filter(({ ready }) => ready).map(endpointView),
    ...(draining.length === 0 ? {} : { draining: draining.map(endpointView) }),
  };
}

function endpointView(endpoint: ServiceEndpoint): EndpointView {
  const { address, port, node, hostname, weight, forNodes, forZones } = endpoint;
  return {
    address,
    port,
    ...(node === undefined ? {} : { node }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(weight === undefined ? {} : { weight }),
    ...(forNodes === undefined ? {} : { forNodes }),
    ...(forZones === undefined ? {} : { forZones }),
  };
}
