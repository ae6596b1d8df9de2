/**
 * Outbound clusters and their endpoints: each Service's port, each of its subsets.
 *
 * What a Service's clusters look like depends on the client's namespace (which DestinationRule it sees) and, where
 * rules go by places, on where it is; they are made once for each, and proxies share them.
 *
 * Mesh TLS is automatic: spoken to the endpoints that take it. DISABLE turns it off, ISTIO_MUTUAL demands it of every
 * endpoint. A mode that the proxy does not speak yet gives a cluster without endpoints: plain text where TLS was asked
 * for would be worse than no answer.
 */

import type { TrafficPolicy } from "../../api/istio/networking.ts";
import type { Diagnostic } from "../../base/compiled.ts";
import { spiffeId, trustDomain } from "../../model/names.ts";
import type { Cluster, ClusterEndpoints, Endpoint, UpstreamTls } from "../../model/proxy-config.ts";
import { type Labels, matchesLabels } from "../registry/selector.ts";
import type { World } from "../registry/world.ts";
import { anywhere, type ClientPlace } from "./client-place.ts";
import { type ClientRule, ruleFor, type Subset } from "./destination-rules.ts";
import { healthCheckFor } from "./health-check.ts";
import { arrange, arrangementFor, isLocalityWeighted } from "./locality.ts";
import { memoizedByKinds } from "./memo.ts";
import {
  certificateSecret,
  endpointHost,
  meshAlpn,
  meshServerName,
  outboundCluster,
  validationSecret,
} from "./names.ts";
import { clusterProtocol } from "./protocol.ts";
import {
  type MeshEndpoint,
  type MeshPort,
  type MeshService,
  meshServices,
  serviceKinds,
} from "./services.ts";
import { trafficSettings } from "./traffic-policy.ts";
import { describe, isVisible } from "./visibility.ts";

export interface OutboundClusters {
  readonly clusters: readonly Cluster[];
  readonly endpoints: readonly ClusterEndpoints[];
  readonly notes: readonly Diagnostic[];
}

/** Everything that proxies of the namespace may talk to, those at this place. */
export function outboundClusters(
  world: World,
  clientNamespace: string,
  place: ClientPlace,
): OutboundClusters {
  const known = byClient(world);
  const key = `${clientNamespace} ${place.key}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const made = makeAll(world, clientNamespace, place);
  known.set(key, made);
  return made;
}

/** What clusters depend on. */
export const clusterKinds: readonly string[] = [...serviceKinds, "DestinationRule"];

const byClient = memoizedByKinds(clusterKinds, () => new Map<string, OutboundClusters>());

export function visibleServices(world: World, clientNamespace: string): readonly MeshService[] {
  return meshServices(world).filter((service) =>
    isVisible(service.exportTo, service.namespace, clientNamespace),
  );
}

/** The cluster of a subset that no DestinationRule has: it exists, so that the reason is seen, and nobody is in it. */
export function missingSubset(
  service: MeshService,
  port: MeshPort,
  subset: string,
): readonly [Cluster, ClusterEndpoints] {
  const name = outboundCluster(port.port, subset, service.host);
  return [
    {
      ...clusterOf(service, port, { name: subset, labels: {}, policy: undefined }, anywhere),
      name,
    },
    { cluster: name, endpoints: [] },
  ];
}

function makeAll(world: World, clientNamespace: string, place: ClientPlace): OutboundClusters {
  const clusters: Cluster[] = [];
  const endpoints: ClusterEndpoints[] = [];
  const notes: Diagnostic[] = [];
  for (const service of visibleServices(world, clientNamespace)) {
    const rule = ruleFor(world, clientNamespace, service);
    if (rule !== undefined) notes.push(...notesOn(rule));
    const whole: Subset = { name: "", labels: {}, policy: rule?.policy };
    for (const port of service.ports) {
      for (const subset of [whole, ...(rule?.subsets ?? [])]) {
        const healthCheck = healthCheckFor(rule, port.protocol);
        clusters.push({
          ...clusterOf(service, port, subset, place),
          ...(healthCheck === undefined ? {} : { healthCheck }),
        });
        endpoints.push(endpointsOf(service, port, subset, port.endpoints, place));
      }
      for (const endpoint of service.isHeadless ? port.endpoints : []) {
        const name = endpointCluster(service, port, endpoint);
        clusters.push({ ...clusterOf(service, port, whole, anywhere), name });
        endpoints.push({
          ...endpointsOf(service, port, whole, [endpoint], anywhere),
          cluster: name,
        });
      }
    }
  }
  return { clusters, endpoints, notes };
}

/** One endpoint of a headless Service as a destination of its own. */
export function endpointCluster(
  service: MeshService,
  port: MeshPort,
  endpoint: MeshEndpoint,
): string {
  return outboundCluster(port.port, undefined, endpointHost(service, endpoint));
}

function clusterOf(
  service: MeshService,
  port: MeshPort,
  subset: Subset,
  place: ClientPlace,
): Cluster {
  const name = subset.name === "" ? undefined : subset.name;
  const arrangement = arrangementFor(subset.policy, service, place);
  const mode = tlsMode(subset.policy);
  return {
    name: outboundCluster(port.port, name, service.host),
    direction: "outbound",
    ...trafficSettings(subset.policy),
    ...(isLocalityWeighted(arrangement) ? { isLocalityWeighted: true } : {}),
    ...clusterProtocol(port.protocol),
    ...(mode === "DISABLE" ? {} : { tls: meshTls(service, port, name) }),
    service: {
      namespace: service.namespace,
      name: service.name,
      host: service.host,
      port: port.port,
      ...(name === undefined ? {} : { subset: name }),
    },
  };
}

function meshTls(service: MeshService, port: MeshPort, subset: string | undefined): UpstreamTls {
  return {
    certificate: certificateSecret,
    validation: validationSecret,
    sni: meshServerName(port.port, subset, service.host),
    alpn: port.protocol === "tcp" ? [meshAlpn.any] : [meshAlpn.http2, meshAlpn.http, meshAlpn.any],
    subjectAltNames: port.accounts.map((account) => {
      const [namespace = "", name = ""] = account.split("/");
      return spiffeId(trustDomain, namespace, name);
    }),
  };
}

function endpointsOf(
  service: MeshService,
  port: MeshPort,
  subset: Subset,
  all: readonly MeshEndpoint[],
  place: ClientPlace,
): ClusterEndpoints {
  const mode = tlsMode(subset.policy);
  const members = mode === "unsupported" ? [] : all.filter((one) => isIn(one.labels, subset));
  return {
    cluster: outboundCluster(port.port, subset.name, service.host),
    endpoints: arrange(members, arrangementFor(subset.policy, service, place), place).map(
      ([endpoint, placing]): Endpoint => ({
        address: endpoint.address,
        port: endpoint.port,
        weight: 1,
        tls: mode === "ISTIO_MUTUAL" || (mode === "auto" && endpoint.takesMeshTls),
        ...placing,
        ...(endpoint.workload === undefined ? {} : { workload: endpoint.workload }),
      }),
    ),
  };
}

function isIn(labels: Labels, subset: Subset): boolean {
  return matchesLabels(labels, subset.labels);
}

type TlsMode = "auto" | "DISABLE" | "ISTIO_MUTUAL" | "unsupported";

function tlsMode(policy: TrafficPolicy | undefined): TlsMode {
  const mode = policy?.tls?.mode;
  if (mode === undefined) return "auto";
  return mode === "DISABLE" || mode === "ISTIO_MUTUAL" ? mode : "unsupported";
}

function notesOn(rule: ClientRule): Diagnostic[] {
  return rule.from.flatMap((object) => {
    const mode = object.spec.trafficPolicy?.tls?.mode;
    const isUnsupported = mode === "SIMPLE" || mode === "MUTUAL";
    if (!isUnsupported) return [];
    return [
      {
        severity: "error" as const,
        code: "HEDDLE0104",
        where: `${describe(object)} spec.trafficPolicy.tls.mode`,
        message: `TLS mode ${mode} is not supported yet; requests to ${object.spec.host} get 503`,
      },
    ];
  });
}
