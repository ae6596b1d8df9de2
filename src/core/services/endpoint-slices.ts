/**
 * The EndpointSlices of a Service with a selector: what the server's controller writes.
 *
 * As in Kubernetes: a pod is an endpoint once it has an address; `ready` follows its Ready condition and goes false
 * when its deletion starts, `serving` keeps following the condition, and a slice holds one set of ports, so a port
 * name that means different numbers in different pods makes several slices.
 *
 * Names follow from the ports, so the same world gives the same slices, and an endpoint's coming or going changes one.
 */

import {
  type EndpointSlice,
  type Pod,
  type Service,
  type SliceEndpoint,
  weightAnnotation,
} from "../../api/k8s/core.ts";
import { hashHex } from "../../base/hash.ts";
import { familyOf, type IpFamily } from "../../base/ip.ts";
import { matchesLabels } from "../registry/selector.ts";
import {
  isExternalName,
  primaryFamilyOf,
  type ResolvedServicePort,
  serviceNameLabel,
  servicePortsOf,
  weightsAnnotation,
} from "../registry/services.ts";
import { addressesOf, isReady, namespaceOf } from "../registry/workloads.ts";
import { compareText } from "../registry/world.ts";

/** Kubernetes refuses slices of more than this. */
const maxEndpointsPerSlice = 1000;

const managedByLabel = "endpointslice.kubernetes.io/managed-by";

type SlicePorts = EndpointSlice["ports"];

interface SliceShape {
  readonly name: string;
  readonly family: IpFamily;
  readonly ports: SlicePorts;
}

/** Zones of nodes, by name; nodes that say none are not in it. */
export type Zones = ReadonlyMap<string, string>;

/** Sorted by name. Empty for Services without a selector: those slices are the user's own. */
export function endpointSlicesFor(
  service: Service,
  pods: readonly Pod[],
  zones: Zones = new Map(),
): readonly EndpointSlice[] {
  const { selector } = service.spec;
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  if (isExternalName(service)) return [];
  const families = service.spec.ipFamilies ?? [primaryFamilyOf(service)];
  return families
    .flatMap((family) => slicesOfFamily(service, pods, family, zones))
    .sort((a, b) => compareText(a.metadata.name, b.metadata.name));
}

function slicesOfFamily(
  service: Service,
  pods: readonly Pod[],
  family: IpFamily,
  zones: Zones,
): readonly EndpointSlice[] {
  const groups = new Map<string, { readonly ports: SlicePorts; readonly members: Pod[] }>();
  for (const pod of selectedPods(service, pods, family)) {
    const ports = portsFor(service, pod);
    if (ports.length === 0 && (service.spec.ports?.length ?? 0) > 0) continue;
    const key = JSON.stringify(ports);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { ports, members: [pod] });
    else group.members.push(pod);
  }
  const slices: EndpointSlice[] = [];
  for (const [key, { ports, members }] of groups) {
    // Names of IPv4 slices have always been made without their family.
    const seed = family === "IPv4" ? key : `${family} ${key}`;
    const name = `${service.metadata.name}-${hashHex(seed, 8)}`;
    for (let start = 0; start < members.length; start += maxEndpointsPerSlice) {
      const part = members.slice(start, start + maxEndpointsPerSlice);
      const suffix = start === 0 ? "" : `-${start / maxEndpointsPerSlice}`;
      const shape = { name: `${name}${suffix}`, family, ports };
      slices.push(sliceOf(service, shape, part, zones));
    }
  }
  return slices;
}

function selectedPods(service: Service, pods: readonly Pod[], family: IpFamily): readonly Pod[] {
  const namespace = namespaceOf(service);
  return pods
    .filter(
      (pod) =>
        namespaceOf(pod) === namespace &&
        addressIn(pod, family) !== undefined &&
        matchesLabels(pod.metadata.labels, service.spec.selector ?? {}),
    )
    .sort((a, b) => compareText(a.metadata.name, b.metadata.name));
}

/** A port whose name the pod does not have is left out; the pod serves the others. */
function portsFor(service: Service, pod: Pod): SlicePorts {
  return servicePortsOf(service).flatMap((port) => {
    const number = targetOf(port, pod);
    if (number === undefined) return [];
    return {
      name: port.name,
      protocol: port.protocol,
      port: number,
      ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
    };
  });
}

function targetOf(port: ResolvedServicePort, pod: Pod): number | undefined {
  if (typeof port.targetPort === "number") return port.targetPort;
  for (const container of pod.spec.containers) {
    for (const candidate of container.ports ?? []) {
      const protocol = candidate.protocol ?? "TCP";
      if (candidate.name === port.targetPort && protocol === port.protocol) {
        return candidate.containerPort;
      }
    }
  }
  return undefined;
}

function addressIn(pod: Pod, family: IpFamily): string | undefined {
  return addressesOf(pod).find((address) => familyOf(address) === family);
}

function sliceOf(
  service: Service,
  { name, family, ports }: SliceShape,
  pods: readonly Pod[],
  zones: Zones,
): EndpointSlice {
  const { uid } = service.metadata;
  const weights = pods.flatMap((pod) => {
    const weight = pod.metadata.annotations?.[weightAnnotation];
    return weight === undefined ? [] : [`${addressIn(pod, family)}=${weight}`];
  });
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name,
      namespace: namespaceOf(service),
      ...(weights.length === 0 ? {} : { annotations: { [weightsAnnotation]: weights.join(",") } }),
      labels: { [serviceNameLabel]: service.metadata.name, [managedByLabel]: "heddle" },
      ...(uid === undefined
        ? {}
        : {
            ownerReferences: [
              {
                apiVersion: "v1",
                kind: "Service",
                name: service.metadata.name,
                uid,
                controller: true,
              },
            ],
          }),
    },
    addressType: family,
    ports,
    endpoints: pods.map((pod) => endpointFor(service, pod, family, zones)),
  };
}

function endpointFor(service: Service, pod: Pod, family: IpFamily, zones: Zones): SliceEndpoint {
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const serving = isReady(pod);
  const { hostname, subdomain, nodeName } = pod.spec;
  const { uid } = pod.metadata;
  return {
    addresses: [addressIn(pod, family) ?? ""],
    conditions: {
      ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating),
      serving,
      terminating,
    },
    ...(nodeName === undefined ? {} : { nodeName }),
    ...nearness(service, nodeName, nodeName === undefined ? undefined : zones.get(nodeName)),
    // The pod answers to `<hostname>.<service>` only where its subdomain names this Service.
    ...(hostname !== undefined && subdomain === service.metadata.name ? { hostname } : {}),
    targetRef: {
      kind: "Pod",
      name: pod.metadata.name,
      namespace: namespaceOf(pod),
      ...(uid === undefined ? {} : { uid }),
    },
  };
}

/** Where the endpoint is, and whose clients should prefer it: those of its own zone, of its own node first. */
function nearness(
  { spec }: Service,
  node: string | undefined,
  zone: string | undefined,
): Pick<SliceEndpoint, "zone" | "hints"> {
  const { trafficDistribution } = spec;
  const forZones = zone === undefined ? {} : { forZones: [{ name: zone }] };
  const forNodes =
    trafficDistribution === "PreferSameNode" && node !== undefined
      ? { forNodes: [{ name: node }] }
      : {};
  const hints = trafficDistribution === undefined ? {} : { ...forNodes, ...forZones };
  return {
    ...(zone === undefined ? {} : { zone }),
    ...(Object.keys(hints).length === 0 ? {} : { hints }),
  };
}
