/**
 * Reads what is Heddle's from the kernel, as the state that a plan is made against.
 *
 * Ours are links `hd*`, the addresses on them and the pods' gateway address wherever it is, routes of our protocol, rules of
 * our preference, permanent neighbours on our links and permanent forwarding entries of our VXLAN devices. Eight listings,
 * of which the kernel filters routes and forwarding entries.
 *
 * A veth's other end cannot be seen from here: its fields are filled from what this driver made (`remembered`), and
 * are empty for a link that it did not make, or that is down. To compare: two links are the same by name and kind.
 * Where the rest differs, `link-add` repairs in place; deleting is only for names that nobody wants.
 */

import { renderCidr } from "../base/ip.ts";
import {
  encryptedTable,
  linkPrefix,
  nameServers,
  podGateway,
  routeProtocol,
  rulePriority,
  wireguardLink,
} from "../model/names.ts";
import type {
  LinkSpec,
  NodeState,
  PodInterface,
  RouteSpec,
  RuleSpec,
  VethSpec,
  WireguardSpec,
} from "../model/node-state.ts";
import type { Rate } from "../model/node-view.ts";
import { decodeAddress, dumpAddresses } from "../wire/netlink/address.ts";
import { decodeLink, dumpLinks, type Link } from "../wire/netlink/link.ts";
import type { NetlinkRequest } from "../wire/netlink/message.ts";
import {
  decodeForwarding,
  decodeNeighbour,
  dumpForwarding,
  dumpNeighbours,
} from "../wire/netlink/neighbour.ts";
import type { Route } from "../wire/netlink/route.ts";
import { decodeRule, dumpRules } from "../wire/netlink/rule.ts";
import { listLimits } from "./limits.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { doing, type KernelObject } from "./refusal.ts";
import { listRoutes } from "./routes.ts";

const onLoopback: ReadonlySet<string> = new Set([podGateway, nameServers.IPv6]);

const unknownPeer: PodInterface = { netns: "", ifName: "", mac: "", addresses: [] };

/** `ours` are the links themselves. */
export type Observed = Omit<NodeState, "sysctls" | "fastPath" | "ruleset"> & {
  readonly ours: readonly Link[];
};

/** All but sysctls, fast path and ruleset; every list is sorted. */
export function observeOurs(
  socket: NetlinkSocket,
  remembered: ReadonlyMap<string, VethSpec>,
  wireguardOf: (link: Link) => WireguardSpec | undefined,
): Observed {
  const list = <T>(
    object: KernelObject,
    request: NetlinkRequest,
    decode: (payload: Uint8Array) => T | undefined,
  ): T[] => doing(object, `list each ${object}`, () => socket.dump(request, decode)) ?? [];
  const all = list("link", dumpLinks(), decodeLink);
  const nameOf = new Map(all.map((link) => [link.index, link.name]));
  const ours = all.filter((link) => link.name.startsWith(linkPrefix));
  const ourIndexes = new Set(ours.map((link) => link.index));
  const named = <T extends { readonly linkIndex: number }>({ linkIndex, ...rest }: T) => ({
    link: nameOf.get(linkIndex) ?? `#${linkIndex}`,
    ...rest,
  });

  const limits = listLimits(socket);
  const rules = list("rule", dumpRules(), decodeRule)
    .filter(({ table, priority }) => table === encryptedTable && priority === rulePriority)
    .map(({ source, table }): RuleSpec => ({ source, table }))
    .sort(by(({ source }) => renderCidr(source)));
  return {
    ours,
    links: ours
      .flatMap((link) =>
        link.name === wireguardLink
          ? (wireguardOf(link) ?? [])
          : linkSpec(link, remembered.get(link.name), limits.get(link.index)),
      )
      .sort(by((link) => link.name)),
    addresses: list("address", dumpAddresses(), decodeAddress)
      .filter((each) => ourIndexes.has(each.linkIndex) || onLoopback.has(each.address))
      .filter((each) => !isKernels(each.address))
      .map(named)
      .sort(by((each) => `${each.link} ${each.address}`)),
    routes: [undefined, encryptedTable]
      .flatMap((table) => listRoutes(socket, routeProtocol, table))
      .map((route) => routeSpec(route, nameOf))
      .sort(by((each) => `${each.destination.address}/${each.destination.prefixLength}`)),
    ...(rules.length === 0 ? {} : { rules }),
    neighbours: list("neighbour", dumpNeighbours(), decodeNeighbour)
      .filter((each) => ourIndexes.has(each.linkIndex))
      .map(named)
      .sort(by((each) => `${each.link} ${each.address}`)),
    forwarding: ours
      .filter((link) => link.kind === "vxlan")
      .flatMap((link) => list("forwarding", dumpForwarding(link.index), decodeForwarding))
      .filter((each) => ourIndexes.has(each.linkIndex))
      .map(named)
      .sort(by((each) => `${each.link} ${each.mac}`)),
  };
}

/** A link made by an earlier release may have an address that the kernel gave it. */
function isKernels(address: string): boolean {
  return /^fe80::.*ff:fe/.test(address);
}

function linkSpec(link: Link, made: VethSpec | undefined, limit: number | undefined): LinkSpec[] {
  const { name, mtu, mac, vxlan } = link;
  if (link.kind === "veth") {
    const peer = (link.up ? made?.peer : undefined) ?? unknownPeer;
    return [
      {
        kind: "veth",
        name,
        mtu,
        peer,
        ...(limit === undefined ? {} : { limit: observedLimit(limit, made) }),
        ...(link.routesLoopback ? { routesLoopback: true } : {}),
      },
    ];
  }
  if (vxlan !== undefined) {
    const { vni, port, local } = vxlan;
    const looseSources = link.looseSources ? { looseSources: true as const } : {};
    return [{ kind: "vxlan", name, mtu, mac, vni, port, local, ...looseSources }];
  }
  // Somebody else's link whose name happens to start like ours.
  return [];
}

/** The kernel tells a rate; the burst is what was given with it. */
function observedLimit(bitsPerSecond: number, made: VethSpec | undefined): Rate {
  const isOurs = made?.limit?.bitsPerSecond === bitsPerSecond;
  return { bitsPerSecond, burstBytes: isOurs ? made.limit.burstBytes : 0 };
}

function routeSpec(route: Route, nameOf: ReadonlyMap<number, string>): RouteSpec {
  const link = route.linkIndex === undefined ? undefined : nameOf.get(route.linkIndex);
  return {
    destination: route.destination,
    ...(link === undefined ? {} : { link }),
    ...(route.via === undefined ? {} : { via: route.via }),
    ...(route.onLink ? { onLink: true } : {}),
    ...(route.blackhole ? { blackhole: true } : {}),
    ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
    ...(route.table === undefined ? {} : { table: route.table }),
  };
}

function by<T>(key: (value: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}
