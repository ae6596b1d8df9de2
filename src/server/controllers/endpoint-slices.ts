/**
 * Keeps each Service's EndpointSlices as its pods are; which those are is decided in core/services.
 *
 * A Service is only held against the pods that carry the first label of its selector: 1 000 Services and 2 000 pods
 * cost milliseconds, where every Service against every pod of its namespace took 650 ms.
 */

import type { EndpointSlice, Node, Pod, Service } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { sameJson } from "../../base/json.ts";
import { zoneLabel } from "../../core/registry/localities.ts";
import { serviceNameLabel, weightsAnnotation } from "../../core/registry/services.ts";
import { namespaceOf } from "../../core/registry/workloads.ts";
import { objectsOf } from "../../core/registry/world.ts";
import { endpointSlicesFor } from "../../core/services/endpoint-slices.ts";
import type { Controller, Write } from "./controller.ts";

export const endpointSlices: Controller = {
  name: "endpoint-slices",
  reads: ["Service", "Pod", "EndpointSlice", "Node"],
  reconcile(world) {
    const zones = zonesOf(objectsOf<Node>(world, "Node"));
    const pods = podsByLabel(objectsOf<Pod>(world, "Pod"));
    const ours = objectsOf<EndpointSlice>(world, "EndpointSlice").filter(isOurs);
    const stored = new Map(ours.map((slice) => [nameOf(slice), slice]));
    const writes: Write[] = [];
    for (const service of objectsOf<Service>(world, "Service")) {
      const [first] = Object.entries(service.spec.selector ?? {});
      const candidates = first && pods.get(labelSlot(service, ...first));
      for (const wanted of endpointSlicesFor(service, candidates ?? [], zones)) {
        const current = stored.get(nameOf(wanted));
        stored.delete(nameOf(wanted));
        if (current === undefined) writes.push({ verb: "create", object: wanted });
        else if (!sameContent(current, wanted)) {
          const metadata = { ...current.metadata, ...wanted.metadata };
          writes.push({ verb: "update", object: { ...wanted, metadata } as Resource });
        }
      }
    }
    for (const object of stored.values()) writes.push({ verb: "delete", object });
    return { writes };
  },
};

function zonesOf(nodes: readonly Node[]): ReadonlyMap<string, string> {
  return new Map(
    nodes.flatMap(({ metadata }) => {
      const zone = metadata.labels?.[zoneLabel];
      return zone === undefined ? [] : [[metadata.name, zone] as const];
    }),
  );
}

function podsByLabel(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const slots = new Map<string, Pod[]>();
  for (const pod of pods) {
    for (const [key, value] of Object.entries(pod.metadata.labels ?? {})) {
      const slot = labelSlot(pod, key, value);
      const carriers = slots.get(slot);
      if (carriers === undefined) slots.set(slot, [pod]);
      else carriers.push(pod);
    }
  }
  return slots;
}

function labelSlot(object: Resource, key: string, value: string): string {
  return `${namespaceOf(object)} ${key}=${value}`;
}

/** Slices that users wrote for Services without a selector are theirs. */
function isOurs(slice: EndpointSlice): boolean {
  return slice.metadata.labels?.["endpointslice.kubernetes.io/managed-by"] === "heddle";
}

function nameOf(slice: EndpointSlice): string {
  return `${namespaceOf(slice)}/${slice.metadata.name}`;
}

function sameContent(a: EndpointSlice, b: EndpointSlice): boolean {
  const content = ({ metadata, addressType, ports, endpoints }: EndpointSlice) => ({
    labels: metadata.labels?.[serviceNameLabel],
    weights: metadata.annotations?.[weightsAnnotation],
    owners: metadata.ownerReferences,
    addressType,
    ports,
    endpoints,
  });
  return sameJson(content(a), content(b));
}
