/**
 * The endpoints of a cluster.
 *
 * An endpoint with a sidecar is marked for the cluster's TLS socket; its workload travels in Istio's form
 * (`workload;namespace;app;version;cluster`), which Envoy's Istio filters read as well.
 */

import type { ClusterEndpoints, Endpoint, WorkloadLabels } from "../../model/proxy-config.ts";
import { given, required, wrappedNumber } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { ClusterLoadAssignment } from "./gen/messages.ts";
import type { EncodedResource } from "./resources.ts";
import { decodeResource, encodeResource, typeUrls } from "./resources.ts";
import { decodeStruct, encodeStruct, textAt } from "./struct.ts";

const socketKey = "envoy.transport_socket_match";

export function encodeEndpoints(endpoints: ClusterEndpoints): EncodedResource {
  const { cluster } = endpoints;
  return encodeResource(typeUrls.endpoints, cluster, ClusterLoadAssignment, {
    clusterName: cluster,
    endpoints:
      endpoints.endpoints.length === 0
        ? []
        : [
            {
              lbEndpoints: endpoints.endpoints.map(encodeEndpoint),
              loadBalancingWeight: { value: 1 },
            },
          ],
  });
}

export function decodeEndpoints(resource: EncodedResource): ClusterEndpoints {
  const message = decodeResource(ClusterLoadAssignment, resource);
  const path = `ClusterLoadAssignment ${resource.name}`;
  return {
    cluster: required(message.clusterName, `${path}.cluster_name`),
    endpoints: (message.endpoints ?? []).flatMap((locality, at) =>
      (locality.lbEndpoints ?? []).map((endpoint, index) =>
        decodeEndpoint(endpoint, `${path}.endpoints[${at}].lb_endpoints[${index}]`),
      ),
    ),
  };
}

function encodeEndpoint(endpoint: Endpoint): wire.LbEndpoint {
  const filterMetadata = {
    ...(endpoint.tls ? { [socketKey]: encodeStruct({ tlsMode: "istio" }) } : {}),
    ...given("istio", endpoint.workload && encodeWorkload(endpoint.workload)),
  };
  return {
    endpoint: {
      address: { socketAddress: { address: endpoint.address, portValue: endpoint.port } },
    },
    metadata: { filterMetadata },
    loadBalancingWeight: { value: endpoint.weight },
  };
}

function decodeEndpoint(endpoint: wire.LbEndpoint, path: string): Endpoint {
  const socket = endpoint.endpoint?.address?.socketAddress;
  const { [socketKey]: socketMatch, istio } = endpoint.metadata?.filterMetadata ?? {};
  return {
    address: required(socket?.address, `${path}.endpoint.address.socket_address.address`),
    port: socket?.portValue ?? 0,
    weight: wrappedNumber(endpoint.loadBalancingWeight, 1),
    tls: textAt(decodeStruct(socketMatch), "tlsMode") === "istio",
    ...given("workload", decodeWorkload(istio)),
  };
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
