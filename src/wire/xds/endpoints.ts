/**
 * The endpoints of a cluster, by priority and locality.
 *
 * An endpoint with a sidecar is marked for the cluster's TLS socket; its workload travels in Istio's form
 * (`workload;namespace;app;version;cluster`), which Envoy's Istio filters read as well.
 */

import type {
  ClusterEndpoints,
  Endpoint,
  Locality,
  WorkloadLabels,
} from "../../model/proxy-config.ts";
import { checkedPort, given, invalid, required, wrappedNumber } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { ClusterLoadAssignment, HealthStatus } from "./gen/messages.ts";
import type { EncodedResource } from "./resources.ts";
import { decodeResource, encodeResource, typeUrls } from "./resources.ts";
import { decodeStruct, encodeStruct, textAt } from "./struct.ts";
import { decodeBalancerMetadata, encodeBalancerMetadata } from "./subsets.ts";

const socketKey = "envoy.transport_socket_match";

export function encodeEndpoints(endpoints: ClusterEndpoints): EncodedResource {
  const { cluster, overprovisioningPercent: factor } = endpoints;
  return encodeResource(typeUrls.endpoints, cluster, ClusterLoadAssignment, {
    ...encodeAssignment(cluster, endpoints.endpoints),
    ...given(
      "policy",
      factor === undefined ? undefined : { overprovisioningFactor: { value: factor } },
    ),
  });
}

/** Also inside a cluster whose endpoints are names. */
export function encodeAssignment(
  cluster: string,
  endpoints: readonly Endpoint[],
): wire.ClusterLoadAssignment {
  return { clusterName: cluster, endpoints: neighbourhoods(endpoints).map(encodeLocality) };
}

export function decodeAssignment(
  { endpoints = [] }: wire.ClusterLoadAssignment,
  path: string,
): readonly Endpoint[] {
  return endpoints.flatMap((locality, at) => decodeLocality(locality, `${path}.endpoints[${at}]`));
}

export function decodeEndpoints(resource: EncodedResource): ClusterEndpoints {
  const message = decodeResource(ClusterLoadAssignment, resource);
  const path = `ClusterLoadAssignment ${resource.name}`;
  return {
    cluster: required(message.clusterName, `${path}.cluster_name`),
    endpoints: decodeAssignment(message, path),
    ...given("overprovisioningPercent", message.policy?.overprovisioningFactor?.value),
  };
}

/** Runs of endpoints that share priority and locality. */
function neighbourhoods(endpoints: readonly Endpoint[]): readonly (readonly Endpoint[])[] {
  const runs: Endpoint[][] = [];
  let last: string | undefined;
  for (const endpoint of endpoints) {
    const { region, zone, subZone } = endpoint.locality ?? nowhere;
    const hasLocality = endpoint.locality !== undefined;
    const key = JSON.stringify([
      endpoint.priority ?? 0,
      hasLocality,
      region,
      zone,
      subZone,
      endpoint.localityWeight,
    ]);
    if (key === last) runs.at(-1)?.push(endpoint);
    else runs.push([endpoint]);
    last = key;
  }
  return runs;
}

const nowhere: Locality = { region: "", zone: "", subZone: "" };

function encodeLocality(members: readonly Endpoint[]): wire.LocalityLbEndpoints {
  const [first] = members;
  return {
    ...given("locality", first?.locality),
    lbEndpoints: members.map(encodeEndpoint),
    loadBalancingWeight: { value: first?.localityWeight ?? 1 },
    ...given("priority", first?.priority),
  };
}

function decodeLocality(group: wire.LocalityLbEndpoints, path: string): readonly Endpoint[] {
  const { locality, priority = 0 } = group;
  // Envoy's limit, too; one level is made for each number up to the highest.
  if (priority > 128) throw invalid(`${path}.priority`, `want 0 to 128, got ${priority}`);
  const weight = wrappedNumber(group.loadBalancingWeight, 1);
  const place = {
    ...given(
      "locality",
      locality && {
        region: locality.region ?? "",
        zone: locality.zone ?? "",
        subZone: locality.subZone ?? "",
      },
    ),
    ...given("priority", priority === 0 ? undefined : priority),
    ...given("localityWeight", weight === 1 ? undefined : weight),
  };
  return (group.lbEndpoints ?? []).map((endpoint, index) => ({
    ...decodeEndpoint(endpoint, `${path}.lb_endpoints[${index}]`),
    ...place,
  }));
}

function encodeEndpoint(endpoint: Endpoint): wire.LbEndpoint {
  const filterMetadata = {
    ...(endpoint.tls ? { [socketKey]: encodeStruct({ tlsMode: "istio" }) } : {}),
    ...given("istio", endpoint.workload && encodeWorkload(endpoint.workload)),
    ...(endpoint.metadata && encodeBalancerMetadata(endpoint.metadata).filterMetadata),
  };
  return {
    endpoint: {
      address: { socketAddress: { address: endpoint.address, portValue: endpoint.port } },
      ...given("hostname", endpoint.hostname),
    },
    ...(endpoint.isUnhealthy === true ? { healthStatus: HealthStatus.UNHEALTHY } : {}),
    metadata: { filterMetadata },
    loadBalancingWeight: { value: endpoint.weight },
  };
}

function decodeEndpoint(endpoint: wire.LbEndpoint, path: string): Endpoint {
  const socket = endpoint.endpoint?.address?.socketAddress;
  const at = `${path}.endpoint.address.socket_address`;
  const { [socketKey]: socketMatch, istio } = endpoint.metadata?.filterMetadata ?? {};
  return {
    address: required(socket?.address, `${at}.address`),
    port: checkedPort(socket?.portValue, `${at}.port_value`),
    weight: wrappedNumber(endpoint.loadBalancingWeight, 1),
    tls: textAt(decodeStruct(socketMatch), "tlsMode") === "istio",
    ...(isUsable(endpoint.healthStatus) ? {} : { isUnhealthy: true }),
    ...given("workload", decodeWorkload(istio)),
    ...given("hostname", endpoint.endpoint?.hostname || undefined),
    ...given("metadata", decodeBalancerMetadata(endpoint.metadata)),
  };
}

/** Envoy's reading: degraded is worse than healthy, and better than nothing; here both are used. */
function isUsable(status: number | undefined): boolean {
  switch (status ?? HealthStatus.UNKNOWN) {
    case HealthStatus.UNHEALTHY:
    case HealthStatus.DRAINING:
    case HealthStatus.TIMEOUT:
      return false;
    default:
      return true;
  }
}

function encodeWorkload(labels: WorkloadLabels): wire.Struct {
  const { workload, namespace, app, version } = labels;
  return encodeStruct({
    workload: [workload, namespace, app, version, "Kubernetes"].join(";"),
    service_account: labels.serviceAccount,
  });
}

function decodeWorkload(struct: wire.Struct | undefined): WorkloadLabels | undefined {
  const metadata = decodeStruct(struct);
  const text = textAt(metadata, "workload");
  if (text === undefined) return undefined;
  const [workload = "", namespace = "", app = "", version = ""] = text.split(";");
  const serviceAccount = textAt(metadata, "service_account") ?? "";
  return { namespace, workload, app, version, serviceAccount };
}
