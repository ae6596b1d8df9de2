/**
 * The elements of one Service, in every map that the Services' chains ask: a piece that is made once and kept while the
 * Service, its numbers and this node's place stay the same.
 *
 * An address and port lead to a mark; a group to the chain that chooses; a group and slot to an endpoint. Addresses
 * therefore do not change when endpoints do, and endpoints stand once however many addresses lead to them.
 */

import { hashText } from "../../../base/hash.ts";
import { type Cidr, cidrContains, familyOf } from "../../../base/ip.ts";
import type { EndpointView, ServicePortView, ServiceView } from "../../../model/node-view.ts";
import { type NftFamily, nftFamilies } from "../families.ts";
import { renderBlock } from "../intervals.ts";
import { type Choice, choiceMark, choiceName, mostStickySlots, refusal } from "./choice-chains.ts";
import { maglevSize, maglevTable } from "./maglev.ts";
import { flags, groupMark, type PortNumber, renderMark } from "./marks.ts";
import { type Place, slotsOf, usableEndpoints } from "./usable.ts";

export interface ServicePart {
  /** By name of the map. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Chains that its groups go to, by name. */
  readonly choices: ReadonlyMap<string, ChoiceUse>;
}

export interface ChoiceUse {
  readonly choice: Choice;
  readonly protocol: string;
  readonly family: NftFamily;
}

export interface NodePlace extends Place {
  /** The node's own addresses: a range that has one lets the Service's own address in as well. */
  readonly addresses: readonly string[];
}

/** A family and port of a Service, with its number. */
export interface NumberedPort {
  readonly family: NftFamily;
  readonly port: ServicePortView;
  readonly number: PortNumber;
}

/** Families in which a Service has cluster addresses. */
export function familiesOf(service: ServiceView): readonly NftFamily[] {
  const addresses = clusterAddressesOf(service);
  return nftFamilies.filter(({ family }) => addresses.some((each) => familyOf(each) === family));
}

export function clusterAddressesOf({ clusterIp, clusterIps }: ServiceView): readonly string[] {
  return clusterIps ?? (clusterIp === undefined ? [] : [clusterIp]);
}

/** `isLost` says which claims another Service has, e.g. `services 10.96.0.1 . tcp . 80`. */
export function servicePart(
  service: ServiceView,
  ports: readonly NumberedPort[],
  place: NodePlace,
  isLost: (claim: string) => boolean,
): ServicePart {
  const elements = new Map<string, Map<string, string>>();
  const choices = new Map<string, ChoiceUse>();
  const set = (map: string, key: string, value: string): void => {
    const known = elements.get(map);
    if (known === undefined) elements.set(map, new Map([[key, value]]));
    else known.set(key, value);
  };
  for (const address of clusterAddressesOf(service)) {
    set(`cluster-addresses${suffixOf(address)}`, address, renderMark(0));
  }
  for (const numbered of ports) {
    for (const [map, key, mark] of entrances(service, numbered)) {
      if (!isLost(claim(map, key))) set(map, key, renderMark(mark));
    }
    for (const [map, key] of allowedSources(service, numbered, place)) set(map, key, "return");
    for (const group of groupsOf(service, numbered, place)) {
      const { choice, mark } = fill(group, service, numbered, set);
      set("groups", renderMark(group.mark), renderMark(mark));
      if (choice !== undefined) {
        const { family } = numbered;
        const protocol = protocolOf(numbered.port);
        choices.set(choiceName(choice, protocol, family), { choice, protocol, family });
      }
    }
  }
  return { elements, choices };
}

/** What two Services could both claim, as `isLost` is asked for it: map and key. */
export function claimsOf(service: ServiceView): readonly string[] {
  return familiesOf(service).flatMap((family) =>
    service.ports.flatMap((port) =>
      [...entrances(service, { family, port, number: 0 })].map(([map, key]) => claim(map, key)),
    ),
  );
}

function claim(map: string, key: string): string {
  return `${map} ${key}`;
}

/** Map, key and mark of every address at which the port is reached. */
function* entrances(
  service: ServiceView,
  { family, port, number }: NumberedPort,
): Generator<readonly [string, string, number]> {
  const ofFamily = (address: string) => familyOf(address) === family.family;
  const where = `${protocolOf(port)} . ${port.port}`;
  const inside = groupMark(number, service.internalLocal === true);
  for (const address of clusterAddressesOf(service).filter(ofFamily)) {
    yield [`services${family.suffix}`, `${address} . ${where}`, inside];
  }
  const outside =
    groupMark(number, false) +
    (service.externalLocal === true ? flags.externalLocal : flags.externalCluster);
  for (const { kind, address } of service.external ?? []) {
    if (!ofFamily(address)) continue;
    const guarded = kind === "load-balancer" && service.sourceRanges !== undefined;
    const mark = outside + (guarded ? flags.sourceRanges : 0);
    yield [`services${family.suffix}`, `${address} . ${where}`, mark];
  }
  if (port.nodePort !== undefined) {
    const key = `${protocolOf(port)} . ${port.nodePort}`;
    yield [`node-ports${family.suffix}`, key, outside];
  }
}

/**
 * Ranges must not overlap: one inside another is left out. Where there are ranges of one family only, the other is
 * shut.
 */
function* allowedSources(
  { external = [], sourceRanges }: ServiceView,
  { family, port }: NumberedPort,
  { addresses }: NodePlace,
): Generator<readonly [string, string]> {
  if (sourceRanges === undefined) return;
  const own = sourceRanges.filter(({ address }) => familyOf(address) === family.family);
  const ranges = own.filter(
    (range, index) => !own.some((other, at) => covers(other, at, range, index)),
  );
  const nodeMayAsk = ranges.some((range) => addresses.some((each) => cidrContains(range, each)));
  for (const { kind, address } of external) {
    if (kind !== "load-balancer" || familyOf(address) !== family.family) continue;
    // A node that has the balancer's address itself asks from it.
    const itself = nodeMayAsk && !ranges.some((range) => cidrContains(range, address));
    for (const source of [...ranges.map(renderBlock), ...(itself ? [address] : [])]) {
      yield [
        `source-ranges${family.suffix}`,
        `${address} . ${protocolOf(port)} . ${port.port} . ${source}`,
      ];
    }
  }
}

function covers(other: Cidr, at: number, range: Cidr, index: number): boolean {
  if (at === index || !cidrContains(other, range.address)) return false;
  if (other.prefixLength === range.prefixLength) return at < index; // the same twice
  return other.prefixLength < range.prefixLength;
}

interface Group {
  readonly mark: number;
  readonly endpoints: readonly EndpointView[];
  /** Elsewhere there are endpoints: silence, so that a load balancer tries another node. */
  readonly othersHaveSome: boolean;
}

function groupsOf(
  service: ServiceView,
  { family, port, number }: NumberedPort,
  place: NodePlace,
): readonly Group[] {
  const usable = usableEndpoints(port, family.family, place);
  const othersHaveSome = usable.cluster.length > 0;
  const all = { mark: groupMark(number, false), endpoints: usable.cluster, othersHaveSome };
  const local = { mark: groupMark(number, true), endpoints: usable.local, othersHaveSome };
  const hasLocal = service.internalLocal === true || service.externalLocal === true;
  return hasLocal ? [all, local] : [all];
}

type Put = (map: string, key: string, value: string) => void;

/** Puts a group's slots where its chain looks for them; says which chain that is, and its mark. */
function fill(
  { mark, endpoints, othersHaveSome }: Group,
  service: ServiceView,
  { family, port }: NumberedPort,
  put: Put,
): { readonly mark: number; readonly choice?: Choice } {
  if (endpoints.length === 0) {
    return { mark: othersHaveSome ? refusal.notHere : refusal.nowhere };
  }
  const group = renderMark(mark);
  const protocol = protocolOf(port);
  const all = service.balancing === "maglev" ? maglevSlots(endpoints) : slotsOf(endpoints);
  const slots = service.affinitySeconds === undefined ? all : all.slice(0, mostStickySlots);
  const choice = choiceFor(service, slots.length);
  if (choice.kind === "sticky") {
    const numbers = endpointNumbers(endpoints);
    for (const [slot, endpoint] of slots.entries()) {
      put("picks", `${group} . ${slot}`, renderMark(numbers.get(endpoint) ?? 0));
    }
    for (const [{ address, port: target }, number] of numbers) {
      put(`targets${family.suffix}`, `${group} . ${renderMark(number)}`, `${address} . ${target}`);
    }
  } else {
    for (const [slot, { address, port: target }] of slots.entries()) {
      put(`${protocol}-endpoints${family.suffix}`, `${group} . ${slot}`, `${address} . ${target}`);
    }
  }
  return { mark: choiceMark(choice, protocol, family), choice };
}

function choiceFor({ balancing, affinitySeconds }: ServiceView, slots: number): Choice {
  if (balancing === "maglev") {
    return { kind: "maglev", slots, byClient: affinitySeconds !== undefined };
  }
  return affinitySeconds === undefined
    ? { kind: "spread", slots }
    : { kind: "sticky", slots, seconds: affinitySeconds };
}

function maglevSlots(endpoints: readonly EndpointView[]): readonly EndpointView[] {
  const turns = new Map<EndpointView, number>();
  for (const endpoint of slotsOf(endpoints)) turns.set(endpoint, (turns.get(endpoint) ?? 0) + 1);
  const members = [...turns];
  const total = members.reduce((sum, [, count]) => sum + count, 0);
  const table = maglevTable(
    members.map(([{ address, port }, count]) => ({ name: `${address} ${port}`, turns: count })),
    maglevSize(total),
  );
  return table.flatMap((index) => members[index]?.[0] ?? []);
}

/** Numbers by which clients are remembered: of the endpoint alone, so that others' coming and going changes none. */
function endpointNumbers(endpoints: readonly EndpointView[]): ReadonlyMap<EndpointView, number> {
  const taken = new Set<number>();
  const numbers = new Map<EndpointView, number>();
  for (const endpoint of endpoints) {
    let number = hashText(`${endpoint.address} ${endpoint.port}`) % 2 ** 32;
    while (taken.has(number)) number = (number + 1) % 2 ** 32;
    taken.add(number);
    numbers.set(endpoint, number);
  }
  return numbers;
}

function protocolOf(port: ServicePortView): string {
  return port.protocol.toLowerCase();
}

function suffixOf(address: string): string {
  return familyOf(address) === "IPv4" ? "" : "6";
}
