/** Keeps each Service's EndpointSlices as its pods are; which those are is decided in core/services. */

import type { EndpointSlice, Pod, Service } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { sameJson } from "../../base/json.ts";
import { serviceNameLabel } from "../../core/registry/services.ts";
import { namespaceOf } from "../../core/registry/workloads.ts";
import { objectsOf } from "../../core/registry/world.ts";
import { endpointSlicesFor } from "../../core/services/endpoint-slices.ts";
import type { Controller, Write } from "./controller.ts";

export const endpointSlices: Controller = {
  name: "endpoint-slices",
  reads: ["Service", "Pod", "EndpointSlice"],
  reconcile(world) {
    const pods = Map.groupBy(objectsOf<Pod>(world, "Pod"), namespaceOf);
    const ours = objectsOf<EndpointSlice>(world, "EndpointSlice").filter(isOurs);
    const stored = new Map(ours.map((slice) => [nameOf(slice), slice]));
    const writes: Write[] = [];
    for (const service of objectsOf<Service>(world, "Service")) {
      for (const wanted of endpointSlicesFor(service, pods.get(namespaceOf(service)) ?? [])) {
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
    owners: metadata.ownerReferences,
    addressType,
    ports,
    endpoints,
  });
  return sameJson(content(a), content(b));
}
