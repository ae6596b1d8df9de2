/**
 * The names of the cluster, as Kubernetes' DNS specification 1.1 defines them, from what a node knows.
 *
 * One map from name to records, built once per view and read by every query: Services by virtual address, headless
 * Services by their ready endpoints, pods of a headless Service by host name, SRV for named ports, PTR for addresses,
 * CNAME for ExternalName. Beyond it, a pod's aliases are names among the Services of its namespace, and hosts of
 * ServiceEntries lead pods that have a sidecar, and see them, to the addresses by which sidecars know them. Names are
 * lower case and without the final dot.
 *
 * Not here: the DNS wire format and asking other servers for names outside the cluster (agent).
 */

import { familyOf, parseIp } from "../../base/ip.ts";
import { clusterDomain, serviceHost } from "../../model/names.ts";
import type {
  EndpointView,
  ExternalHostView,
  NodeView,
  ServicePortView,
  ServiceView,
  WorkloadView,
} from "../../model/node-view.ts";
import { isVisible } from "../mesh/visibility.ts";
import { compareText } from "../registry/world.ts";

export type DnsRecord =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | {
      readonly type: "SRV";
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    }
  | { readonly type: "PTR"; readonly target: string }
  | { readonly type: "CNAME"; readonly target: string };

export interface NameTable {
  /** Every name that exists, also those that only have names below them (with no records). */
  readonly names: ReadonlyMap<string, readonly DnsRecord[]>;
  /** Entries by each of their hosts, wildcards (`*.example.com`) among them. */
  readonly externalHosts: ReadonlyMap<string, readonly ExternalHostView[]>;
  /** Namespaces of pods that have a sidecar, by address. */
  readonly meshed: ReadonlyMap<string, string>;
}

export type LookupResult =
  /** Records of the asked type, or a CNAME to follow. */
  | { readonly kind: "found"; readonly records: readonly DnsRecord[] }
  /** The name exists, with nothing of that type (NOERROR, no answers). */
  | { readonly kind: "no-data" }
  /** The name is in the cluster's domain and does not exist (NXDOMAIN). */
  | { readonly kind: "no-name" }
  /** Not the cluster's to answer: ask the node's own resolvers. */
  | { readonly kind: "elsewhere" };

/** Seconds that an answer may be kept; CoreDNS's default for cluster names. */
export const answerTtlSeconds = 5;

/** The part of a view that names are made from. */
export interface NamedView {
  readonly services: NodeView["services"];
  readonly workloads: NodeView["workloads"];
  readonly externalHosts?: NonNullable<NodeView["externalHosts"]>;
}

/** The same table for the same lists of services, workloads and external hosts. */
export function nameTable(view: NamedView): NameTable {
  const { externalHosts = none } = view;
  const known = remembered.get(view.services);
  if (known?.workloads === view.workloads && known.externalHosts === externalHosts) {
    return known.table;
  }
  const builder = new TableBuilder();
  builder.touch(`svc.${clusterDomain}`);
  for (const service of view.services) addService(builder, service);
  const taken = new Set(view.services.map(({ namespace, name }) => serviceHost(namespace, name)));
  for (const workload of view.workloads) addWorkload(builder, workload, taken);
  const table = {
    names: builder.names,
    externalHosts: entriesByHost(externalHosts),
    meshed: meshedNamespaces(view.workloads),
  };
  remembered.set(view.services, { workloads: view.workloads, externalHosts, table });
  return table;
}

const none: readonly never[] = [];

const remembered = new WeakMap<NodeView["services"], Required<NamedRest> & { table: NameTable }>();

type NamedRest = Omit<NamedView, "services">;

/**
 * `name` in any case, with or without a final dot; `type` as in the question (`TXT`, `MX` … have no data here).
 * `viewer`: the asker's namespace, where the asker has a sidecar.
 */
export function lookup(
  table: NameTable,
  name: string,
  type: string,
  viewer?: string,
): LookupResult {
  const asked = name.toLowerCase().replace(/\.$/, "");
  const records = table.names.get(asked) ?? externalRecords(table, asked, viewer);
  if (records === undefined) {
    return asked === clusterDomain || asked.endsWith(`.${clusterDomain}`)
      ? { kind: "no-name" }
      : { kind: "elsewhere" };
  }
  const matching = records.filter((record) => record.type === type || record.type === "CNAME");
  return matching.length > 0 ? { kind: "found", records: matching } : { kind: "no-data" };
}

/** The oldest first. */
function entriesByHost(
  entries: readonly ExternalHostView[],
): ReadonlyMap<string, readonly ExternalHostView[]> {
  const map = new Map<string, ExternalHostView[]>();
  const byAge = entries.toSorted((a, b) => compareText(a.created, b.created));
  for (const entry of byAge) {
    for (const { host } of entry.hosts) {
      const same = map.get(host);
      if (same === undefined) map.set(host, [entry]);
      else same.push(entry);
    }
  }
  return map;
}

/** A gateway captures nothing: to it, as to pods without a sidecar, such an address leads nowhere. */
function meshedNamespaces(workloads: NodeView["workloads"]): ReadonlyMap<string, string> {
  const captured = workloads.filter(({ meshed, gateway }) => meshed && gateway !== true);
  return new Map(
    captured.flatMap(({ namespace, addresses }) =>
      addresses.map((address) => [address, namespace] as const),
    ),
  );
}

/**
 * As sidecars see it (core/mesh/services.ts): the viewer's own namespace says what a host is, else the namespace of the
 * oldest entry that it sees; that namespace's entries add up.
 */
function externalRecords(
  { externalHosts }: NameTable,
  asked: string,
  viewer: string | undefined,
): readonly DnsRecord[] | undefined {
  if (viewer === undefined || externalHosts.size === 0) return undefined;
  const labels = asked.split(".");
  const wildcards = labels.slice(1).map((_, at) => `*.${labels.slice(at + 1).join(".")}`);
  for (const host of [asked, ...wildcards]) {
    const seen = (externalHosts.get(host) ?? none).filter(({ exportTo, namespace }) =>
      isVisible(exportTo, namespace, viewer),
    );
    const meant = seen.find(({ namespace }) => namespace === viewer) ?? seen[0];
    if (meant === undefined) continue;
    const addresses = seen
      .filter(({ namespace }) => namespace === meant.namespace)
      .flatMap(({ hosts }) => hosts.find((one) => one.host === host)?.addresses ?? none);
    return addresses.length === 0
      ? undefined
      : addresses.map((one) => addressRecord({ address: one }));
  }
  return undefined;
}

/** Its addresses, as names and under its aliases; a Service of the same name has that for itself. */
function addWorkload(
  builder: TableBuilder,
  { namespace, addresses, aliases = [] }: WorkloadView,
  taken: ReadonlySet<string>,
): void {
  const hosts = aliases.map((alias) => serviceHost(namespace, alias));
  for (const address of addresses) {
    builder.add(`${dashed(address)}.${namespace}.pod.${clusterDomain}`, addressRecord({ address }));
    for (const host of hosts) if (!taken.has(host)) builder.add(host, addressRecord({ address }));
  }
}

function addService(builder: TableBuilder, service: ServiceView): void {
  const host = serviceHost(service.namespace, service.name);
  builder.touch(host);
  if (service.externalName !== undefined) {
    const target = service.externalName.toLowerCase().replace(/\.$/, "");
    builder.add(host, { type: "CNAME", target });
    return;
  }
  if (service.clusterIp === undefined) {
    for (const port of service.ports) addHeadlessPort(builder, host, port);
    return;
  }
  for (const address of service.clusterIps ?? [service.clusterIp]) {
    builder.add(host, addressRecord({ address }));
    builder.add(reverseName(address), { type: "PTR", target: host });
  }
  for (const port of service.ports) {
    builder.add(serviceRecordName(host, port), serviceRecord(port.port, host));
  }
}

/** A headless Service is its endpoints: each has an address record, a name of its own and a service record. */
function addHeadlessPort(builder: TableBuilder, host: string, port: ServicePortView): void {
  for (const endpoint of port.endpoints) {
    const name = `${endpointLabel(endpoint)}.${host}`;
    builder.add(host, addressRecord(endpoint));
    builder.add(name, addressRecord(endpoint));
    builder.add(reverseName(endpoint.address), { type: "PTR", target: name });
    builder.add(serviceRecordName(host, port), serviceRecord(endpoint.port, name));
  }
}

function endpointLabel(endpoint: EndpointView): string {
  return endpoint.hostname ?? dashed(endpoint.address);
}

/** An address as a label: `10-244-0-9`, `fd00--9`. */
function dashed(address: string): string {
  return address.replaceAll(/[.:]/g, "-");
}

function addressRecord({ address }: { readonly address: string }): DnsRecord {
  return { type: familyOf(address) === "IPv4" ? "A" : "AAAA", address };
}

function serviceRecord(port: number, target: string): DnsRecord {
  return { type: "SRV", priority: 0, weight: 100, port, target };
}

/** `_http._tcp.cart.shop.svc.cluster.local`; ports without a name have no service record. */
function serviceRecordName(host: string, port: ServicePortView): string | undefined {
  return port.name === "" ? undefined : `_${port.name}._${port.protocol.toLowerCase()}.${host}`;
}

function reverseName(address: string): string {
  if (familyOf(address) === "IPv4") return `${address.split(".").reverse().join(".")}.in-addr.arpa`;
  const digits = parseIp(address).value.toString(16).padStart(32, "0");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

class TableBuilder {
  readonly names = new Map<string, DnsRecord[]>();

  add(name: string | undefined, record: DnsRecord): void {
    if (name === undefined) return;
    const records = this.#at(name.toLowerCase());
    const text = JSON.stringify(record);
    if (!records.some((other) => JSON.stringify(other) === text)) records.push(record);
  }

  /** Makes a name exist, with those above it in the cluster's domain: asking for them is no error. */
  touch(name: string): void {
    this.#at(name.toLowerCase());
  }

  #at(name: string): DnsRecord[] {
    const known = this.names.get(name);
    if (known !== undefined) return known;
    const records: DnsRecord[] = [];
    this.names.set(name, records);
    const parent = name.slice(name.indexOf(".") + 1);
    if (parent.endsWith(clusterDomain)) this.#at(parent);
    return records;
  }
}
