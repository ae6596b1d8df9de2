/**
 * ServiceEntries as destinations: each of their hosts is one.
 *
 * Connections are told apart as Istio tells them: HTTP by its host, TLS by the name that it asks for, all others by
 * address. A host that has none is given one (status.addresses, by the server), to which the name server leads pods
 * that have a sidecar; what cannot be told apart goes to the oldest that wants the port.
 *
 * Not here: looking names up (proxy/upstream/names), giving addresses (core/services).
 */

import type {
  ServiceEntry,
  ServiceEntryPort,
  WorkloadEntry,
} from "../../api/istio/service-entry.ts";
import type { Pod } from "../../api/k8s/core.ts";
import type { Diagnostic } from "../../base/compiled.ts";
import { canonicalIp, isIp } from "../../base/ip.ts";
import { addressesOfHost, normalHost } from "../registry/external-hosts.ts";
import { matchesLabels } from "../registry/selector.ts";
import { addressOf, isReady, namespaceOf } from "../registry/workloads.ts";
import { objectsOf, type World } from "../registry/world.ts";
import type { MeshEndpoint, MeshPort, MeshService } from "./mesh-service.ts";
import { type KnownModes, podTraits } from "./pod-traits.ts";
import { protocolOf } from "./protocol.ts";
import { byAge, describe } from "./visibility.ts";
import { accountOf, entryEndpoint, labelsOfEntry, workloadEndpoint } from "./workload-entries.ts";

/** The oldest first, so that of several that claim the same the first is right. */
export function entryServices(world: World, modes: KnownModes): readonly MeshService[] {
  const entries = objectsOf<ServiceEntry>(world, "ServiceEntry").toSorted(byAge);
  const hosts = entries.flatMap((entry) => {
    const notes = notesOf(entry);
    return [...new Set(entry.spec.hosts.map(normalHost))].map((host, index) => ({
      ...hostOf(world, entry, host, modes),
      ...(index === 0 && notes.length > 0 ? { notes } : {}),
    }));
  });
  const same = Map.groupBy(hosts, ({ namespace, host }) => `${namespace} ${host}`);
  return [...same.values()].flatMap(merged);
}

/** Entries of one namespace may each have some ports of a host; of two that have one port the older has it. */
function merged([first, ...others]: readonly MeshService[]): readonly MeshService[] {
  if (first === undefined || others.length === 0) return first === undefined ? [] : [first];
  const ports = new Map(first.ports.map((port) => [port.port, port]));
  for (const port of others.flatMap((other) => other.ports)) {
    if (!ports.has(port.port)) ports.set(port.port, port);
  }
  const all = [first, ...others];
  const notes = all.flatMap((one) => one.notes ?? []);
  const addresses = [...new Set(all.flatMap((one) => one.addresses))];
  return [
    { ...first, addresses, ports: [...ports.values()], ...(notes.length > 0 ? { notes } : {}) },
  ];
}

function hostOf(world: World, entry: ServiceEntry, host: string, modes: KnownModes): MeshService {
  const { location, exportTo, subjectAltNames, ports = [] } = entry.spec;
  return {
    kind: "ServiceEntry",
    namespace: namespaceOf(entry),
    name: host,
    host,
    addresses: addressesOfHost(entry, host),
    isHeadless: false,
    ...(location === "MESH_INTERNAL" ? {} : { isOutside: true as const }),
    ...(exportTo === undefined ? {} : { exportTo }),
    ...(subjectAltNames === undefined ? {} : { subjectAltNames }),
    ports: ports
      .filter(({ protocol = "" }) => protocol.toUpperCase() !== "UDP")
      .map((port) => portOf(world, entry, host, port, modes)),
  };
}

function portOf(
  world: World,
  entry: ServiceEntry,
  host: string,
  port: ServiceEntryPort,
  modes: KnownModes,
): MeshPort {
  const { protocol = "", name, number } = port;
  const endpoints = endpointsOf(world, entry, host, port, modes);
  const isTls = ["TLS", "HTTPS"].includes(protocol.toUpperCase());
  return {
    name,
    port: number,
    protocol: protocolOf({
      name,
      port: number,
      ...(protocol === "" ? {} : { appProtocol: protocol }),
    }),
    ...(isTls ? { isTls } : {}),
    ...resolutionOf(entry),
    endpoints,
    accounts: [...new Set(endpoints.flatMap(accountOf))].sort(),
  };
}

function resolutionOf({ spec }: ServiceEntry): Pick<MeshPort, "resolution"> {
  switch (spec.resolution ?? "NONE") {
    case "NONE":
      return { resolution: "original-destination" };
    case "DNS":
      return { resolution: "every-address" };
    case "DNS_ROUND_ROBIN":
      return { resolution: "first-address" };
    case "STATIC":
    case "DYNAMIC_DNS":
      return {};
  }
}

function endpointsOf(
  world: World,
  entry: ServiceEntry,
  host: string,
  port: ServiceEntryPort,
  modes: KnownModes,
): readonly MeshEndpoint[] {
  const { resolution = "NONE", endpoints = [], workloadSelector } = entry.spec;
  const wanted = { name: port.name, port: port.number, targetPort: port.targetPort ?? port.number };
  const looksUp = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
  if (resolution === "NONE" || resolution === "DYNAMIC_DNS") return [];
  if (workloadSelector !== undefined) {
    const selected = selectedBy(world, entry, wanted, modes);
    return looksUp ? selected : selected.filter(({ address }) => isIp(address));
  }
  if (looksUp && endpoints.length === 0) return present(entryEndpoint({ address: host }, wanted));
  return endpoints.flatMap((one) => present(entryEndpoint(one, wanted)));
}

/** Pods that are ready, and WorkloadEntries. */
function selectedBy(
  world: World,
  entry: ServiceEntry,
  port: { readonly name: string; readonly port: number; readonly targetPort: number },
  modes: KnownModes,
): readonly MeshEndpoint[] {
  const namespace = namespaceOf(entry);
  const { labels = {} } = entry.spec.workloadSelector ?? {};
  const pods = objectsOf<Pod>(world, "Pod").filter(
    (pod) =>
      namespaceOf(pod) === namespace && isReady(pod) && matchesLabels(pod.metadata.labels, labels),
  );
  const others = objectsOf<WorkloadEntry>(world, "WorkloadEntry").filter(
    (one) => namespaceOf(one) === namespace && matchesLabels(labelsOfEntry(one), labels),
  );
  return [
    ...pods.flatMap((pod): readonly MeshEndpoint[] => {
      const address = addressOf(pod);
      if (address === undefined) return [];
      const node = pod.spec.nodeName;
      return [
        {
          address: canonicalIp(address),
          port: port.targetPort,
          ...podTraits(world, pod, port.targetPort, modes),
          ...(node === undefined ? {} : { node }),
        },
      ];
    }),
    ...others.flatMap((one) => present(workloadEndpoint(one, port))),
  ];
}

function present(endpoint: MeshEndpoint | undefined): readonly MeshEndpoint[] {
  return endpoint === undefined ? [] : [endpoint];
}

function notesOf(entry: ServiceEntry): readonly Diagnostic[] {
  const { resolution, endpoints = [] } = entry.spec;
  const note = (path: string, message: string): Diagnostic => ({
    severity: "warning",
    code: "HEDDLE0113",
    where: `${describe(entry)} ${path}`,
    message,
  });
  const sockets = endpoints.flatMap(({ address = "" }, index) =>
    address.startsWith("unix://")
      ? [
          note(
            `spec.endpoints[${index}].address`,
            `sidecars run outside of pods and reach no sockets of theirs: ${address} is left out`,
          ),
        ]
      : [],
  );
  if (resolution !== "DYNAMIC_DNS") return sockets;
  const message = "names that requests bring are not looked up: its hosts have no endpoints";
  return [...sockets, note("spec.resolution", message)];
}
