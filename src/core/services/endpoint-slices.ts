/**
 * The EndpointSlices of a Service with a selector: what the server's controller writes.
 *
 * As in Kubernetes: a pod is an endpoint once it has an address; `ready` follows its Ready condition and goes false
 * when its deletion starts, `serving` keeps following the condition, and a slice holds one set of ports, so a port
 * name that means different numbers in different pods makes several slices.
 *
 * Names follow from the ports, so the same world gives the same slices, and an endpoint's coming or going changes one.
 */

import type { EndpointSlice, Pod, Service, SliceEndpoint } from "../../api/k8s/core.ts";
import { hashHex } from "../../base/hash.ts";
import { matchesLabels } from "../registry/selector.ts";
import {
  isExternalName,
  type ResolvedServicePort,
  serviceNameLabel,
  servicePortsOf,
} from "../registry/services.ts";
import { addressOf, isReady, namespaceOf } from "../registry/workloads.ts";
import { compareText } from "../registry/world.ts";

/** Kubernetes refuses slices of more than this. */
const maxEndpointsPerSlice = 1000;

const managedByLabel = "endpointslice.kubernetes.io/managed-by";

type SlicePorts = EndpointSlice["ports"];

/** Sorted by name. Empty for Services without a selector: those slices are the user's own. */
export function endpointSlicesFor(
  service: Service,
  pods: readonly Pod[],
): readonly EndpointSlice[] {
  const { selector } = service.spec;
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  if (isExternalName(service)) return [];
  const groups = new Map<string, { readonly ports: SlicePorts; readonly members: Pod[] }>();
  for (const pod of selectedPods(service, pods)) {
    const ports = portsFor(service, pod);
    if (ports.length === 0 && (service.spec.ports?.length ?? 0) > 0) continue;
    const key = JSON.stringify(ports);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { ports, members: [pod] });
    else group.members.push(pod);
  }
  const slices: EndpointSlice[] = [];
  for (const [key, { ports, members }] of groups) {
    const name = `${service.metadata.name}-${hashHex(key, 8)}`;
    for (let start = 0; start < members.length; start += maxEndpointsPerSlice) {
      const part = members.slice(start, start + maxEndpointsPerSlice);
      const suffix = start === 0 ? "" : `-${start / maxEndpointsPerSlice}`;
      slices.push(sliceOf(service, `${name}${suffix}`, ports, part));
    }
  }
  return slices.sort((a, b) => compareText(a.metadata.name, b.metadata.name));
}

function selectedPods(service: Service, pods: readonly Pod[]): readonly Pod[] {
  const namespace = namespaceOf(service);
  return pods
    .filter(
      (pod) =>
        namespaceOf(pod) === namespace &&
        addressOf(pod) !== undefined &&
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

function sliceOf(
  service: Service,
  name: string,
  ports: SlicePorts,
  pods: readonly Pod[],
): EndpointSlice {
  const { uid } = service.metadata;
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name,
      namespace: namespaceOf(service),
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
    addressType: "IPv4",
    ports,
    endpoints: pods.map((pod) => endpointFor(service, pod)),
  };
}

function endpointFor(service: Service, pod: Pod): SliceEndpoint {
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const serving = isReady(pod);
  const { hostname, subdomain, nodeName } = pod.spec;
  const { uid } = pod.metadata;
  return {
    addresses: [addressOf(pod) ?? ""],
    conditions: {
      ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating),
      serving,
      terminating,
    },
    ...(nodeName === undefined ? {} : { nodeName }),
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
