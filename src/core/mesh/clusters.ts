/**
 * Outbound clusters and their endpoints: each Service's port, each of its subsets; ServiceEntries' hosts likewise.
 *
 * What a Service's clusters look like depends on the client's namespace (which DestinationRule it sees), where rules ask
 * for them on its labels and, where rules go by places, on where it is; they are made once for each, and proxies share
 * them.
 *
 * Mesh TLS is automatic: spoken to the endpoints that take it. DISABLE turns it off, ISTIO_MUTUAL demands it of every
 * endpoint; SIMPLE and MUTUAL are TLS of the endpoints' own (originate.ts). What cannot be done gives a cluster without
 * endpoints.
 */

import type { DestinationRule } from "../../api/istio/networking.ts";
import type { Diagnostic } from "../../base/compiled.ts";
import { canonicalJson } from "../../base/json.ts";
import { spiffeId, trustDomain } from "../../model/names.ts";
import type { Cluster, ClusterEndpoints, Endpoint, UpstreamTls } from "../../model/proxy-config.ts";
import { type Labels, matchesLabels } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import type { World } from "../registry/world.ts";
import { anywhere, type ClientPlace } from "./client-place.ts";
import {
  type Client,
  labelsAskedFor,
  policyOfPort,
  ruleFor,
  type Subset,
} from "./destination-rules.ts";
import { healthCheckFor } from "./health-check.ts";
import { arrange, arrangementFor, isLocalityWeighted } from "./locality.ts";
import { memoizedByKinds } from "./memo.ts";
import type { MeshEndpoint, MeshPort, MeshService } from "./mesh-service.ts";
import {
  certificateSecret,
  endpointHost,
  meshAlpn,
  meshServerName,
  outboundCluster,
  validationSecret,
} from "./names.ts";
import { type Asker, type ClientSecurity, clientSecurity } from "./originate.ts";
import { withStatistics } from "./outlier-statistics.ts";
import { clusterProtocol } from "./protocol.ts";
import { serviceKinds, visibleServices } from "./services.ts";
import { protocolWanted, proxyProtocol, tcpIdleMs, trafficSettings } from "./traffic-policy.ts";
import { describe } from "./visibility.ts";

export interface OutboundClusters {
  readonly clusters: readonly Cluster[];
  readonly endpoints: readonly ClusterEndpoints[];
  /** By cluster, for the listeners that lead to it: how long its TCP connections may be idle. */
  readonly tcpIdleMs: ReadonlyMap<string, number>;
  readonly notes: readonly Diagnostic[];
}

/** Everything that a proxy may talk to, at this place. */
export function outboundClusters(
  world: World,
  client: Client,
  place: ClientPlace,
): OutboundClusters {
  const known = byClient(world);
  const key = `${client.namespace} ${canonicalJson(labelsAskedFor(world, client))} ${place.key}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const made = makeAll(world, client, place);
  known.set(key, made);
  return made;
}

/** What clusters depend on. */
export const clusterKinds: readonly string[] = [...serviceKinds, "DestinationRule"];

const byClient = memoizedByKinds(clusterKinds, () => new Map<string, OutboundClusters>());

/** The cluster of a subset that no DestinationRule has: it exists, so that the reason is seen, and nobody is in it. */
export function missingSubset(
  service: MeshService,
  port: MeshPort,
  subset: string,
): readonly [Cluster, ClusterEndpoints] {
  const name = outboundCluster(port.port, subset, service.host);
  return [
    {
      ...clusterOf(service, port, nobody(subset), anywhere),
      name,
    },
    { cluster: name, endpoints: [] },
  ];
}

function nobody(name: string): SecuredSubset {
  return { name, labels: {}, policy: undefined, security: { kind: "auto" } };
}

function makeAll(world: World, client: Client, place: ClientPlace): OutboundClusters {
  const clusters: Cluster[] = [];
  const endpoints: ClusterEndpoints[] = [];
  const idle = new Map<string, number>();
  const notes: Diagnostic[] = [];
  for (const service of visibleServices(world, client.namespace)) {
    notes.push(...(service.notes ?? []));
    const rule = ruleFor(world, client, service);
    const [object] = rule?.from ?? [];
    const asker: Asker = {
      namespace: client.namespace,
      ruleNamespace: object === undefined ? client.namespace : namespaceOf(object),
    };
    const secured = (subset: Subset, port: MeshPort): SecuredSubset => {
      const policy = policyOfPort(subset.policy, port.port);
      const security = clientSecurity(policy, asker, service, port);
      if (security.kind === "unable" && object !== undefined) {
        notes.push(unableNote(object, security, service));
      }
      return { ...subset, policy, security };
    };
    for (const port of service.ports) {
      const whole = secured({ name: "", labels: {}, policy: rule?.policy }, port);
      for (const subset of [whole, ...(rule?.subsets ?? []).map((one) => secured(one, port))]) {
        const idleMs = tcpIdleMs(subset.policy);
        const name = outboundCluster(port.port, subset.name, service.host);
        if (idleMs !== undefined) idle.set(name, idleMs);
        const healthCheck = healthCheckFor(rule, port.protocol, service.namespace);
        const cluster = clusterOf(service, port, subset, place);
        const header = proxyProtocol(subset.policy);
        if (header !== undefined && !mayBePlain(subset.security) && object !== undefined) {
          notes.push(headerNote(object, service));
        }
        clusters.push({
          ...cluster,
          ...(header !== undefined && mayBePlain(subset.security) ? { proxyProtocol: header } : {}),
          ...withStatistics(cluster, rule),
          ...(healthCheck === undefined ? {} : { healthCheck }),
        });
        if (cluster.discovery.kind !== "dns") {
          endpoints.push(endpointsOf(service, port, subset, port.endpoints, place));
        }
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
  return { clusters, endpoints, tcpIdleMs: idle, notes };
}

/** One endpoint of a headless Service as a destination of its own. */
export function endpointCluster(
  service: MeshService,
  port: MeshPort,
  endpoint: MeshEndpoint,
): string {
  return outboundCluster(port.port, undefined, endpointHost(service, endpoint));
}

/** A subset as one port has it. */
interface SecuredSubset extends Subset {
  readonly security: ClientSecurity;
}

function clusterOf(
  service: MeshService,
  port: MeshPort,
  subset: SecuredSubset,
  place: ClientPlace,
): Cluster {
  const name = subset.name === "" ? undefined : subset.name;
  const arrangement = arrangementFor(subset.policy, service, place);
  const settings = trafficSettings(subset.policy);
  const discovery = discoveryOf(service, port, subset, place) ?? settings.discovery;
  // Whether an original destination takes mesh TLS is not known: it is spoken only where it is demanded.
  const isPlain =
    subset.security.kind === "auto" &&
    (discovery.kind === "original-destination" || service.isOutside === true);
  return {
    name: outboundCluster(port.port, name, service.host),
    direction: "outbound",
    ...settings,
    discovery,
    ...(isLocalityWeighted(arrangement) ? { isLocalityWeighted: true } : {}),
    ...clusterProtocol(port.protocol, protocolWanted(subset.policy)),
    ...(isPlain ? {} : tlsOf(service, port, name, subset.security)),
    service: {
      namespace: service.namespace,
      name: service.name,
      host: service.host,
      port: port.port,
      ...(name === undefined ? {} : { subset: name }),
    },
  };
}

/** Undefined: as the traffic policy says. */
function discoveryOf(
  service: MeshService,
  port: MeshPort,
  subset: SecuredSubset,
  place: ClientPlace,
): Cluster["discovery"] | undefined {
  const { resolution } = port;
  if (resolution === undefined) return undefined;
  if (resolution === "original-destination") return { kind: resolution };
  const { endpoints } = endpointsOf(service, port, subset, port.endpoints, place);
  if (resolution === "every-address") return { kind: "dns", uses: "every", endpoints };
  // One name is looked up for it, and without any there is nobody (Envoy refuses such a cluster).
  const [only] = endpoints;
  return only === undefined ? { kind: "none" } : { kind: "dns", uses: "first", endpoints: [only] };
}

function tlsOf(
  service: MeshService,
  port: MeshPort,
  subset: string | undefined,
  security: ClientSecurity,
): Pick<Cluster, "tls" | "originate"> {
  switch (security.kind) {
    case "auto":
    case "ISTIO_MUTUAL":
      return { tls: meshTls(service, port, subset) };
    case "originate":
      return { originate: security.tls };
    case "DISABLE":
    case "unable":
      return {};
  }
}

function meshTls(service: MeshService, port: MeshPort, subset: string | undefined): UpstreamTls {
  return {
    certificate: certificateSecret,
    validation: validationSecret,
    sni: meshServerName(port.port, subset, service.host),
    alpn: port.protocol === "tcp" ? [meshAlpn.any] : [meshAlpn.http2, meshAlpn.http, meshAlpn.any],
    subjectAltNames:
      service.subjectAltNames ??
      port.accounts.map((account) => {
        const [namespace = "", name = ""] = account.split("/");
        return spiffeId(trustDomain, namespace, name);
      }),
  };
}

function endpointsOf(
  service: MeshService,
  port: MeshPort,
  subset: SecuredSubset,
  all: readonly MeshEndpoint[],
  place: ClientPlace,
): ClusterEndpoints {
  const { kind } = subset.security;
  const isAuto = kind === "auto" && service.isOutside !== true;
  const members = kind === "unable" ? [] : all.filter((one) => isIn(one.labels, subset));
  return {
    cluster: outboundCluster(port.port, subset.name, service.host),
    endpoints: arrange(members, arrangementFor(subset.policy, service, place), place).map(
      ([endpoint, placing]): Endpoint => ({
        address: endpoint.address,
        port: endpoint.port,
        weight: endpoint.weight ?? 1,
        tls: kind === "ISTIO_MUTUAL" || (isAuto && endpoint.takesMeshTls),
        ...placing,
        ...(endpoint.workload === undefined ? {} : { workload: endpoint.workload }),
      }),
    ),
  };
}

function isIn(labels: Labels, subset: Subset): boolean {
  return matchesLabels(labels, subset.labels);
}

/** A PROXY header is written in the clear only. */
function mayBePlain({ kind }: ClientSecurity): boolean {
  return kind === "auto" || kind === "DISABLE";
}

function headerNote(rule: DestinationRule, service: MeshService): Diagnostic {
  return {
    severity: "warning",
    code: "HEDDLE0108",
    where: `${describe(rule)} spec.trafficPolicy.proxyProtocol`,
    message: `connections to ${service.host} begin with TLS, before which no PROXY header is written`,
  };
}

function unableNote(
  rule: DestinationRule,
  { field, reason }: Extract<ClientSecurity, { kind: "unable" }>,
  service: MeshService,
): Diagnostic {
  return {
    severity: "error",
    code: "HEDDLE0104",
    where: `${describe(rule)} spec.trafficPolicy.tls.${field}`,
    message: `${reason}; requests to ${service.host} get 503`,
  };
}
