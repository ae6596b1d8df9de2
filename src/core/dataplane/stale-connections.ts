/**
 * Which tracked connections a change of Services has made wrong: what conntrack still does and the maps no longer say.
 *
 * Datagrams (UDP, SCTP) go where the entry says for as long as somebody sends, whatever the rules are by then, so every
 * transition counts: an endpoint that went, the first one that came (until then the entry leads nowhere), a Service or
 * a port that went or came. TCP connections end by themselves; only those whose endpoint's address is gone hang, and
 * those are forgotten by address (agent).
 *
 * Only the entrances of Services that changed are asked about: what a change costs does not grow with the others.
 */

import { cidrContains, familyOf } from "../../base/ip.ts";
import { middles } from "../../base/middles.ts";
import type { DatagramConnection } from "../../model/node-state.ts";
import type { NodeView, ServicePortView, ServiceView } from "../../model/node-view.ts";
import { clusterAddressesOf } from "./services/part.ts";

export type IsStale = (connection: DatagramConnection) => boolean;

/** Undefined where no entry can be stale. Without `before` every entrance is asked about: nothing is known. */
export function staleConnections(
  before: NodeView | undefined,
  after: NodeView,
): IsStale | undefined {
  if (before?.services === after.services) return undefined;
  const [was, is] = middles(before?.services ?? [], after.services);
  const [kept, known] = [new Set(is), new Set(was)];
  const gone = was.filter((service) => !kept.has(service));
  const come = is.filter((service) => !known.has(service));
  // Entrances of before lead nowhere, unless they are entrances still.
  const entrances = new Map<string, ReadonlySet<string>>();
  for (const service of gone)
    for (const key of entrancesOf(service).keys()) entrances.set(key, none);
  for (const service of come)
    for (const [key, ends] of entrancesOf(service)) entrances.set(key, ends);
  if (entrances.size === 0) return undefined;
  const isNode = nodeAddressTest(after);
  return ({ protocol, destination, destinationPort, answerer, answererPort }) => {
    const allowed =
      entrances.get(`${protocol} ${destination} ${destinationPort}`) ??
      (isNode(destination) ? entrances.get(`${protocol} * ${destinationPort}`) : undefined);
    return allowed !== undefined && !allowed.has(`${answerer} ${answererPort}`);
  };
}

const none: ReadonlySet<string> = new Set();

/** Where datagrams come in, and the endpoints that may answer there. */
function entrancesOf(service: ServiceView): ReadonlyMap<string, ReadonlySet<string>> {
  const known = remembered.get(service);
  if (known !== undefined) return known;
  const entrances = new Map<string, ReadonlySet<string>>();
  for (const port of service.ports) {
    if (port.protocol === "TCP") continue;
    const protocol = port.protocol.toLowerCase();
    const ends = endsOf(port);
    const addresses = [
      ...clusterAddressesOf(service),
      ...(service.external ?? []).map(({ address }) => address),
    ];
    for (const address of addresses) entrances.set(`${protocol} ${address} ${port.port}`, ends);
    if (port.nodePort !== undefined) entrances.set(`${protocol} * ${port.nodePort}`, ends);
  }
  remembered.set(service, entrances);
  return entrances;
}

const remembered = new WeakMap<ServiceView, ReadonlyMap<string, ReadonlySet<string>>>();

function endsOf({ endpoints, draining = [] }: ServicePortView): ReadonlySet<string> {
  return new Set([...endpoints, ...draining].map(({ address, port }) => `${address} ${port}`));
}

function nodeAddressTest({ node, nodes, settings }: NodeView): (address: string) => boolean {
  const own = nodes.find(({ name }) => name === node)?.addresses ?? [];
  const ranges = settings.nodePortAddresses;
  if (ranges === undefined) {
    return (address) =>
      own.includes(address) || (familyOf(address) === "IPv4" && address.startsWith("127."));
  }
  return (address) => ranges.some((range) => cidrContains(range, address));
}

/** Addresses that pods of other nodes had and no pod has now: connections with them can only hang. */
export function goneAddresses(before: NodeView | undefined, after: NodeView): readonly string[] {
  if (before === undefined || before.workloads === after.workloads) return [];
  const [was, is] = middles(before.workloads, after.workloads);
  const kept = new Set(is);
  const lost = was.filter((workload) => !kept.has(workload) && workload.node !== after.node);
  if (lost.length === 0) return [];
  const had = new Set(after.workloads.flatMap(({ addresses }) => addresses));
  return lost.flatMap(({ addresses }) => addresses.filter((address) => !had.has(address)));
}
