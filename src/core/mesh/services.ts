/**
 * The Services of a world as the mesh sees them, ServiceEntries among them: TCP ports with their protocols, and
 * endpoints with their workloads.
 *
 * Made once for the objects it depends on and shared by all proxies.
 *
 * Not here: what ServiceEntries say (service-entries.ts).
 */

import type { WorkloadEntry } from "../../api/istio/service-entry.ts";
import type { Pod, Service } from "../../api/k8s/core.ts";
import { isIp } from "../../base/ip.ts";
import { serviceHost } from "../../model/names.ts";
import { type Labels, matchesLabels } from "../registry/selector.ts";
import {
  clusterIpOf,
  endpointsOf,
  isExternalName,
  isHeadless,
  type ServiceEndpoint,
  servicePortsOf,
} from "../registry/services.ts";
import { namespaceOf, serviceAccountOf } from "../registry/workloads.ts";
import { objectNamed, objectsOf, type World } from "../registry/world.ts";
import type { ProxyContext } from "./context.ts";
import { memoized, memoizedByKinds } from "./memo.ts";
import type { MeshEndpoint, MeshService } from "./mesh-service.ts";
import { type KnownModes, podTraits } from "./pod-traits.ts";
import { protocolOf } from "./protocol.ts";
import { entryServices } from "./service-entries.ts";
import { isVisible } from "./visibility.ts";
import { accountOf, labelsOfEntry, workloadEndpoint } from "./workload-entries.ts";

/** What Services, as the mesh sees them, depend on. */
export const serviceKinds: readonly string[] = [
  "Service",
  "EndpointSlice",
  "Pod",
  "PeerAuthentication",
  "ServiceEntry",
  "WorkloadEntry",
];

/**
 * Services, sorted by namespace and name, then hosts of ServiceEntries, the oldest first. ExternalName Services are not
 * among them: they are names, not destinations.
 */
export const meshServices: (world: World) => readonly MeshService[] = memoizedByKinds(
  serviceKinds,
  (world) => {
    const modes: KnownModes = new Map();
    const services = objectsOf<Service>(world, "Service")
      .filter((service) => !isExternalName(service))
      .map((service) => meshService(world, service, modes));
    return [...services, ...entryServices(world, modes)];
  },
);

/** Everything that proxies of the namespace may talk to; each host once. */
export function visibleServices(world: World, clientNamespace: string): readonly MeshService[] {
  return visibleTo(world, clientNamespace).list;
}

/** Those of them that the proxy's Sidecar admits, at the ports that it admits. */
export function admittedServices(context: ProxyContext): readonly MeshService[] {
  const { world, namespace, scope } = context;
  const visible = visibleServices(world, namespace);
  if (scope === undefined) return visible;
  return visible.flatMap((service) => {
    const ports = service.ports.filter(({ port }) =>
      scope.admits(service.namespace, service.host, port),
    );
    return ports.length === 0 ? [] : [{ ...service, ports }];
  });
}

/** Whom the host means for proxies of the namespace; one that they do not see only where there is no other. */
export function serviceOfHost(
  world: World,
  host: string,
  clientNamespace: string,
): MeshService | undefined {
  return (
    visibleTo(world, clientNamespace).byHost.get(host) ?? byHost(meshServices(world)).get(host)
  );
}

interface Visible {
  readonly list: readonly MeshService[];
  readonly byHost: ReadonlyMap<string, MeshService>;
}

const visible = memoized((_: readonly MeshService[]) => new Map<string, Visible>());

function visibleTo(world: World, namespace: string): Visible {
  const all = meshServices(world);
  const known = visible(all).get(namespace);
  if (known !== undefined) return known;
  const seen = all.filter((one) => isVisible(one.exportTo, one.namespace, namespace));
  // Of several that have a host: a Service, the namespace's own, the oldest.
  const rank = ({ kind, namespace: owner }: MeshService): number =>
    kind === "Service" ? 0 : owner === namespace ? 1 : 2;
  const first = byHost(seen.toSorted((a, b) => rank(a) - rank(b)));
  const made = { list: seen.filter((one) => first.get(one.host) === one), byHost: first };
  visible(all).set(namespace, made);
  return made;
}

const byHost = memoized((services: readonly MeshService[]) => {
  const map = new Map<string, MeshService>();
  for (const service of services) if (!map.has(service.host)) map.set(service.host, service);
  return map;
});

function meshService(world: World, service: Service, modes: KnownModes): MeshService {
  const namespace = namespaceOf(service);
  const { name, annotations } = service.metadata;
  const { trafficDistribution, selector } = service.spec;
  const clusterIp = clusterIpOf(service);
  const exported = annotations?.["networking.istio.io/exportTo"];
  const workloads = workloadEntriesOf(world, namespace, selector);
  return {
    kind: "Service",
    namespace,
    name,
    host: serviceHost(namespace, name),
    addresses: clusterIp === undefined ? [] : [clusterIp],
    isHeadless: isHeadless(service),
    ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
    ...(exported === undefined ? {} : { exportTo: exported.split(",").map((part) => part.trim()) }),
    ports: servicePortsOf(service)
      .filter((port) => port.protocol === "TCP")
      .map((port) => {
        const all = endpointsOf(world, service, port);
        const others = workloads.flatMap((one) => workloadEndpoint(one, port) ?? []);
        return {
          name: port.name,
          port: port.port,
          protocol: protocolOf(port),
          endpoints: [
            ...usable(all).map((endpoint) => meshEndpoint(world, endpoint, modes)),
            ...others.filter(({ address }) => isIp(address)),
          ],
          accounts: [...new Set([...accountsOf(world, all), ...others.flatMap(accountOf)])].sort(),
        };
      }),
  };
}

/** Those of the namespace that the selector of a Service means; none where it has none. */
function workloadEntriesOf(
  world: World,
  namespace: string,
  selector: Labels | undefined,
): readonly WorkloadEntry[] {
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  return objectsOf<WorkloadEntry>(world, "WorkloadEntry").filter(
    (entry) => namespaceOf(entry) === namespace && matchesLabels(labelsOfEntry(entry), selector),
  );
}

/** While all that is left is on its way out but answers, that is better than nothing (KEP-1669). */
function usable(all: readonly ServiceEndpoint[]): readonly ServiceEndpoint[] {
  const ready = all.filter((endpoint) => endpoint.ready);
  return ready.length > 0
    ? ready
    : all.filter((endpoint) => endpoint.serving && endpoint.terminating);
}

function meshEndpoint(world: World, endpoint: ServiceEndpoint, modes: KnownModes): MeshEndpoint {
  const { address, port, hostname, node } = endpoint;
  const pod = podOf(world, endpoint);
  const base = {
    address,
    port,
    ...(hostname === undefined ? {} : { hostname }),
    ...(node === undefined ? {} : { node }),
  };
  if (pod === undefined) return { ...base, labels: {}, takesMeshTls: false };
  return { ...base, ...podTraits(world, pod, port, modes) };
}

function accountsOf(world: World, endpoints: readonly ServiceEndpoint[]): readonly string[] {
  const accounts = endpoints.flatMap((endpoint) => {
    const pod = podOf(world, endpoint);
    return pod === undefined ? [] : [`${namespaceOf(pod)}/${serviceAccountOf(pod)}`];
  });
  return [...new Set(accounts)].sort();
}

function podOf(world: World, endpoint: ServiceEndpoint): Pod | undefined {
  if (endpoint.pod === undefined) return undefined;
  const [namespace = "", name = ""] = endpoint.pod.split("/");
  return objectNamed<Pod>(world, "Pod", namespace, name);
}
