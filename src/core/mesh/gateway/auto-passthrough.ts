/**
 * AUTO_PASSTHROUGH: a gateway that passes mesh TLS on, unopened, to the Service that its server name is of
 * (`outbound_.80_.v1_.cart.shop.svc.cluster.local`); Istio's east–west gateway. Sidecars outside of this network reach
 * Services by it, and identities are proven end to end.
 *
 * What passes is never seen, so only endpoints that take mesh TLS get any: there the certificate is judged, and
 * policies hold. The gateway's own AuthorizationPolicies say nothing of these connections (Istio's), for nobody's name
 * is known. No VirtualService is asked; subsets are those of the DestinationRules that the gateway's namespace sees,
 * with their settings but for TLS.
 *
 * Not here: ServiceEntries outside the mesh, and hosts that are found by asking for a name.
 */

import type {
  Cluster,
  ClusterEndpoints,
  FilterChain,
  ProxyConfig,
} from "../../../model/proxy-config.ts";
import { matchesLabels } from "../../registry/selector.ts";
import type { ClientPlace } from "../client-place.ts";
import type { ProxyContext } from "../context.ts";
import { policyOfPort, ruleFor, type Subset } from "../destination-rules.ts";
import { hostMatches } from "../host.ts";
import { arrange, arrangementFor, isLocalityWeighted } from "../locality.ts";
import type { MeshPort, MeshService } from "../mesh-service.ts";
import { allMeshAlpn, meshServerName } from "../names.ts";
import { visibleServices } from "../services.ts";
import { tcpFilter } from "../tcp-routes.ts";
import { trafficSettings } from "../traffic-policy.ts";
import type { Server } from "./servers.ts";

/** A Service's port, or a subset of it, as something that connections can be passed on to. */
interface Passage {
  readonly service: MeshService;
  readonly port: MeshPort;
  readonly subset: Subset;
  /** The server name, and that of the cluster. */
  readonly name: string;
}

export function passingChains(context: ProxyContext, server: Server): readonly FilterChain[] {
  return passagesOf(context, server).map(({ name }) => ({
    name,
    match: { transport: "tls", serverNames: [name], applicationProtocols: allMeshAlpn },
    rbac: [],
    filter: tcpFilter([{ cluster: name, weight: 100 }]),
  }));
}

/** What the chains of these servers lead to; each once. */
export function passingClusters(
  context: ProxyContext,
  servers: readonly Server[],
  place: ClientPlace,
): Pick<ProxyConfig, "clusters" | "endpoints"> {
  const passing = servers.filter(({ is }) => is.kind === "auto-passthrough");
  const passages = new Map(
    passing.flatMap((server) => passagesOf(context, server)).map((one) => [one.name, one]),
  );
  return {
    clusters: [...passages.values()].map((one) => clusterOf(one, place)),
    endpoints: [...passages.values()].map((one) => endpointsOf(one, place)),
  };
}

function passagesOf(context: ProxyContext, server: Server): readonly Passage[] {
  const { world, namespace } = context;
  return visibleServices(world, namespace)
    .filter((service) => service.isOutside !== true && admits(server, service))
    .flatMap((service) => {
      const rule = ruleFor(world, context, service);
      const whole: Subset = { name: "", labels: {}, policy: rule?.policy };
      return service.ports
        .filter(({ resolution }) => resolution === undefined)
        .flatMap((port) =>
          [whole, ...(rule?.subsets ?? [])].map((subset) => ({
            service,
            port,
            subset: { ...subset, policy: policyOfPort(subset.policy, port.port) },
            name: meshServerName(port.port, subset.name, service.host),
          })),
        );
    });
}

function admits({ hosts }: Server, service: MeshService): boolean {
  return hosts.some(
    ({ host, namespace }) =>
      (namespace === "*" || namespace === service.namespace) && hostMatches(host, service.host),
  );
}

function clusterOf({ service, port, subset, name }: Passage, place: ClientPlace): Cluster {
  return {
    name,
    direction: "outbound",
    ...trafficSettings(subset.policy),
    discovery: { kind: "eds" },
    ...(isLocalityWeighted(arrangementFor(subset.policy, service, place))
      ? { isLocalityWeighted: true }
      : {}),
    service: {
      namespace: service.namespace,
      name: service.name,
      host: service.host,
      port: port.port,
      ...(subset.name === "" ? {} : { subset: subset.name }),
    },
  };
}

function endpointsOf(
  { service, port, subset, name }: Passage,
  place: ClientPlace,
): ClusterEndpoints {
  const members = port.endpoints.filter(
    (one) => one.takesMeshTls && matchesLabels(one.labels, subset.labels),
  );
  const arrangement = arrangementFor(subset.policy, service, place);
  return {
    cluster: name,
    endpoints: arrange(members, arrangement, place).map(([endpoint, placing]) => ({
      address: endpoint.address,
      port: endpoint.port,
      weight: endpoint.weight ?? 1,
      tls: false, // the client's own passes
      ...placing,
      ...(endpoint.workload === undefined ? {} : { workload: endpoint.workload }),
    })),
  };
}
