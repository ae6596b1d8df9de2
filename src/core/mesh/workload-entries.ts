/**
 * WorkloadEntries as endpoints, and what a ServiceEntry has of them written into it.
 *
 * Mesh TLS is spoken to one whose labels say that it takes it (`security.istio.io/tlsMode: istio`, as Istio's own agent
 * labels it); anything else that runs outside of containers has no sidecar.
 */

import type { WorkloadEntry, WorkloadEntrySpec } from "../../api/istio/service-entry.ts";
import { canonicalIp, isIp } from "../../base/ip.ts";
import type { Locality, WorkloadLabels } from "../../model/proxy-config.ts";
import type { Labels } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import type { MeshEndpoint } from "./mesh-service.ts";

/** A port as those who select endpoints have it. */
export interface EntryPort {
  readonly name: string;
  readonly port: number;
  /** By name: no entry has such names, its own number counts. */
  readonly targetPort?: number | string;
}

/** Its own and those of what runs there. */
export function labelsOfEntry({ metadata, spec }: WorkloadEntry): Labels {
  return { ...metadata.labels, ...spec.labels };
}

/** Undefined: it has no address, or one that is nothing to connect to. */
export function workloadEndpoint(entry: WorkloadEntry, port: EntryPort): MeshEndpoint | undefined {
  const labels = labelsOfEntry(entry);
  const endpoint = entryEndpoint({ ...entry.spec, labels }, port);
  if (endpoint === undefined) return undefined;
  const label = (key: string): string => labels[key] ?? "unknown";
  const workload: WorkloadLabels = {
    namespace: namespaceOf(entry),
    workload: entry.metadata.name,
    app: label("app"),
    version: label("version"),
    serviceAccount: entry.spec.serviceAccount ?? "default",
  };
  return { ...endpoint, workload };
}

/** An endpoint that a ServiceEntry writes out. */
export function entryEndpoint(
  spec: WorkloadEntrySpec,
  { name, port, targetPort }: EntryPort,
): MeshEndpoint | undefined {
  const { address = "", ports = {}, labels = {}, locality, weight = 0 } = spec;
  if (address === "" || address.startsWith("unix://")) return undefined;
  const own = ports[name] ?? (typeof targetPort === "number" ? targetPort : port);
  return {
    address: isIp(address) ? canonicalIp(address) : address.toLowerCase().replace(/\.$/, ""),
    port: own,
    labels,
    takesMeshTls: labels["security.istio.io/tlsMode"] === "istio",
    ...(weight > 1 ? { weight } : {}),
    ...(locality === undefined || locality === "" ? {} : { locality: localityOf(locality) }),
  };
}

/** `namespace/account` of whoever answers there, where it is known. */
export function accountOf({ workload }: MeshEndpoint): readonly string[] {
  return workload === undefined ? [] : [`${workload.namespace}/${workload.serviceAccount}`];
}

function localityOf(text: string): Locality {
  const [region = "", zone = "", subZone = ""] = text.split("/");
  return { region, zone, subZone };
}
