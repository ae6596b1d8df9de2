/**
 * From what a person wrote to where the connection goes: a name through the cluster's DNS as the source's node answers
 * it, a pod, or an address; and the port, where there is only one to mean.
 */

import type { Pod, Service } from "../../api/k8s/core.ts";
import { MeshError } from "../../base/error.ts";
import { canonicalIp, isIp } from "../../base/ip.ts";
import { clusterDomain, podGateway } from "../../model/names.ts";
import { lookup, nameTable } from "../dns/name-table.ts";
import type { MeshService } from "../mesh/mesh-service.ts";
import type { ConnectionEnd } from "../policy/evaluate.ts";
import { podsCalled } from "../registry/pods-called.ts";
import {
  endpointsOf,
  isHeadless,
  type ResolvedServicePort,
  servicePortsOf,
} from "../registry/services.ts";
import { viewFor } from "../registry/view.ts";
import { addressesOf, addressOf, namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectNamed, objectsOf, type World } from "../registry/world.ts";
import { type EntryPort, entryDecider, entryOfAddress, entryOfHost } from "./entry.ts";
import type { Decider, Step } from "./explanation.ts";
import { meant } from "./meant.ts";
import { serviceEntrance } from "./service-entrance.ts";

/** Where a connection is sent. */
export interface Destination {
  /** As the application says it: what a Host header carries. */
  readonly host: string;
  /** More than one: a headless Service, of which a client takes any. Empty: the name has none. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly transport: "TCP" | "UDP";
  readonly service?: { readonly object: Service; readonly port: ResolvedServicePort };
  /** Instead: a ServiceEntry's host. Its address may be a name, where only the outside knows more. */
  readonly entry?: EntryPort;
  /** Whether DNS was asked. */
  readonly isName: boolean;
  readonly by: readonly Decider[];
  readonly detail: string;
}

/** Throws `explain.destination` and `explain.port`, both naming what there is. */
export function resolveDestination(
  world: World,
  source: Pod,
  written: string,
  port: number | undefined,
): Destination {
  if (isIp(written)) return byAddress(world, source, canonicalIp(written), port);
  const [space, name] = written.includes("/") ? written.split("/", 2) : [undefined, written];
  const asked = space === undefined ? written : `${name}.${space}`;
  const named = byName(world, source, asked, port);
  if (named !== undefined) return named;
  const [pod] = podsCalled(objectsOf<Pod>(world, "Pod"), written, space ?? namespaceOf(source));
  if (pod !== undefined && !written.includes(".")) return byPod(pod, port);
  const entry = entryOfHost(world, source, written);
  if (entry !== undefined) return byEntry(world, entry, written, [written], port);
  throw unknown(world, source, written);
}

/** The name step: what the name means, unless the source's policies keep it from asking. */
export function nameStep(destination: Destination): Step {
  const { addresses, by, detail } = destination;
  return { step: "name", outcome: addresses.length === 0 ? "refuse" : "pass", by, detail };
}

export const dnsServer: ConnectionEnd = { kind: "address", address: podGateway };

/** `addresses`: the host itself where only the outside knows where it leads. */
function byEntry(
  world: World,
  service: MeshService,
  host: string,
  addresses: readonly string[],
  wanted: number | undefined,
): Destination {
  const { ports } = service;
  const port =
    wanted === undefined && ports.length === 1
      ? ports[0]
      : ports.find((one) => one.port === wanted);
  const decider = entryDecider(world, service, port?.port ?? ports[0]?.port ?? 0, "spec.hosts");
  const name = decider === undefined ? service.namespace : decider.name;
  if (port === undefined) {
    const there = ports.map((one) => `${one.port} (${one.name})`).join(", ") || "none";
    const what = wanted === undefined ? "which port of" : `no port ${wanted} in`;
    const message = `${what} ServiceEntry ${name}: it has ${there}`;
    throw new MeshError("explain.port", message, { fault: "user" });
  }
  const isKnown = addresses.every(isIp);
  const leads = isKnown ? addresses.join(", ") : "which leads where the outside says";
  return {
    host,
    addresses,
    port: port.port,
    transport: "TCP",
    entry: { service, port },
    isName: !isIp(host),
    by: decider === undefined ? [] : [decider],
    detail: `${host} is a host of ServiceEntry ${name}, ${leads}`,
  };
}

function byAddress(
  world: World,
  source: Pod,
  address: string,
  port: number | undefined,
): Destination {
  const entrance = serviceEntrance(world, address, port);
  if (entrance !== undefined) {
    const { service, what } = entrance;
    const detail = `${address} is ${what} of Service ${objectKey(service)}`;
    const rest = { host: address, isName: false, detail };
    return { ...ofService(world, service, rest, entrance.port, [address]), ...(port && { port }) };
  }
  const pod = objectsOf<Pod>(world, "Pod").find((one) => addressesOf(one).includes(address));
  if (pod !== undefined) return byPod(pod, port, address);
  const entry = entryOfAddress(world, source, address, port);
  if (entry !== undefined) return byEntry(world, entry, address, [address], port);
  if (port === undefined) {
    throw new MeshError("explain.port", `which port of ${address}: want ${address}:PORT`, {
      fault: "user",
    });
  }
  const detail = `${address} is no Service and no pod: outside the cluster`;
  const base = { host: address, addresses: [address], isName: false, by: [], detail };
  return { ...base, port, transport: "TCP" };
}

/** `address`: which of its addresses; its primary one unless told. */
function byPod(pod: Pod, port: number | undefined, address = addressOf(pod)): Destination {
  const key = objectKey(pod);
  if (address === undefined) {
    throw new MeshError("explain.destination", `pod ${key} has no address`, { fault: "user" });
  }
  const declared = pod.spec.containers
    .flatMap(({ ports = [] }) => ports)
    .filter(({ protocol = "TCP" }) => protocol === "TCP")
    .map(({ containerPort }) => containerPort);
  const [only] = declared;
  const number = port ?? (declared.length === 1 ? only : undefined);
  if (number === undefined) {
    const there = declared.length === 0 ? "declares none" : `declares ${declared.join(", ")}`;
    throw new MeshError("explain.port", `which port of pod ${key}, which ${there}: want :PORT`, {
      fault: "user",
    });
  }
  return {
    host: address,
    addresses: [address],
    port: number,
    transport: "TCP",
    isName: false,
    by: [{ kind: "Pod", name: key, path: "status.podIP" }],
    detail: `${address} is pod ${key}`,
  };
}

/** Undefined: the cluster does not know the name. */
function byName(
  world: World,
  source: Pod,
  name: string,
  port: number | undefined,
): Destination | undefined {
  const found = askDns(world, source, name);
  if (found === undefined) return undefined;
  const { full, addresses } = found;
  const [object, host] = serviceOf(world, full);
  if (object === undefined) {
    const detail = `${name} is ${full}, ${addresses.join(", ")}`;
    const [address] = addresses;
    const entry = entryOfHost(world, source, full);
    if (entry !== undefined && address !== undefined) {
      return byEntry(world, entry, full, addresses, port);
    }
    if (address === undefined) return undefined;
    return { ...byAddress(world, source, address, port), host: name, isName: true, detail };
  }
  const means = addresses.length === 0 ? "which has no address" : addresses.join(", ");
  const kind = isHeadless(object) ? "headless Service" : "Service";
  const detail = `${name} is ${kind} ${objectKey(object)}${host === "" ? "" : `'s pod ${host}`}, ${means}`;
  return ofService(world, object, { host: name, isName: true, detail }, port, addresses);
}

function ofService(
  world: World,
  object: Service,
  rest: Pick<Destination, "host" | "isName" | "detail">,
  wanted: number | undefined,
  addresses: readonly string[],
): Destination {
  const port = servicePort(world, object, wanted);
  const path = isHeadless(object) ? "spec.clusterIP: None" : "spec.clusterIP";
  return {
    ...rest,
    addresses,
    port: wanted ?? port.port,
    transport: port.protocol === "UDP" ? "UDP" : "TCP",
    service: { object, port },
    by: [{ kind: "Service", name: objectKey(object), path }],
  };
}

function servicePort(
  world: World,
  service: Service,
  wanted: number | undefined,
): ResolvedServicePort {
  const all = servicePortsOf(service);
  const [first] = all;
  if (wanted === undefined && first !== undefined && all.length === 1) return first;
  const named = all.find(({ port }) => port === wanted);
  if (named !== undefined) return named;
  // A headless Service is its pods: nothing translates ports, so theirs are meant, too.
  const behind = isHeadless(service)
    ? all.find((port) => endpointsOf(world, service, port).some((one) => one.port === wanted))
    : undefined;
  if (behind !== undefined) return behind;
  const there = all.map(({ name, port }) => (name === "" ? `${port}` : `${port} (${name})`));
  const key = objectKey(service);
  const what =
    wanted === undefined ? `which port of Service ${key}` : `Service ${key} has no port ${wanted}`;
  const has = there.length === 0 ? "it has none" : `it has ${there.join(", ")}`;
  throw new MeshError("explain.port", `${what}: ${has}`, { fault: "user" });
}

interface Answer {
  readonly full: string;
  readonly addresses: readonly string[];
}

/** As a pod's resolver asks: the search list first, because cluster names have few dots. */
function askDns(world: World, source: Pod, name: string): Answer | undefined {
  const table = nameTable(viewFor(world, source.spec.nodeName ?? ""));
  const viewer = table.meshed.get(addressOf(source) ?? "");
  const spaces = [`${namespaceOf(source)}.svc.`, "svc.", ""].map((one) => `${one}${clusterDomain}`);
  for (const full of [...spaces.map((space) => `${name}.${space}`), name]) {
    let asked = full.toLowerCase();
    for (let hops = 0; hops < 8; hops++) {
      const result = lookup(table, asked, "A", viewer);
      if (result.kind === "no-data" && serviceOf(world, asked)[0] !== undefined) {
        return { full: asked, addresses: [] };
      }
      if (result.kind !== "found") break;
      const alias = result.records.find((record) => record.type === "CNAME");
      if (alias === undefined) {
        const addresses = result.records.flatMap((one) => ("address" in one ? [one.address] : []));
        return { full: asked, addresses };
      }
      asked = alias.target;
    }
  }
  return undefined;
}

/** The Service that a full name is of, and the part before it for one pod of a headless Service. */
function serviceOf(world: World, full: string): readonly [Service | undefined, string] {
  const suffix = `.svc.${clusterDomain}`;
  if (!full.endsWith(suffix)) return [undefined, ""];
  const labels = full.slice(0, -suffix.length).split(".");
  const [name = "", namespace = ""] = labels.slice(-2);
  const service = objectNamed<Service>(world, "Service", namespace, name);
  return [service, labels.slice(0, -2).join(".")];
}

function unknown(world: World, source: Pod, written: string): MeshError {
  const from = namespaceOf(source);
  const services = objectsOf<Service>(world, "Service").flatMap((service) => {
    const { name } = service.metadata;
    const namespace = namespaceOf(service);
    const long = [`${name}.${namespace}`, `${namespace}/${name}`];
    return namespace === from ? [name, ...long] : long;
  });
  const pods = objectsOf<Pod>(world, "Pod").map(objectKey);
  const hint = meant(written, [...services, ...pods]);
  const outside = written.includes(".") ? " (a name outside the cluster: give its address)" : "";
  return new MeshError(
    "explain.destination",
    `there is no Service or pod "${written}", seen from namespace ${from}${outside}${hint}`,
    { fault: "user" },
  );
}
