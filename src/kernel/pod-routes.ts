/**
 * A pod's routes, inside its namespace: to the gateway of each family, and by it to everything.
 *
 * A pod with several interfaces has these routes once for each, ranked by metric in the order in which they came: what the
 * pod begins goes by the first, and by the next once that is gone. What answers from the address of a later one must go by
 * its own link, for the node lets no other address in there: a rule gives such an address a table with that way alone. A
 * pod with one interface has no rule, since any rule costs each packet a look.
 *
 * The kernel takes routes away with their link, but no rule: those are swept when a link was deleted.
 */

import { type Cidr, familyOf, hostCidr, type IpFamily, renderCidr } from "../base/ip.ts";
import { podGateways, rulePriority } from "../model/names.ts";
import type { PodInterface } from "../model/node-state.ts";
import { decodeLink, dumpLinks } from "../wire/netlink/link.ts";
import { type Route, replaceRoute } from "../wire/netlink/route.ts";
import {
  addSourceRule,
  decodeRule,
  deleteSourceRule,
  dumpRules,
  type SourceRule,
} from "../wire/netlink/rule.ts";
import { EEXIST, ENOENT } from "./ffi.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { doing } from "./refusal.ts";
import { listRoutes } from "./routes.ts";

const RTPROT_STATIC = 4; // what `ip route add` writes; the namespace is the pod's, not Heddle's
/** Plus the link's index: beyond the numbers that people give tables. */
const firstTable = 0x4844_0000;
/** Of the best route, as the kernel has it where none is asked for. */
const bestMetric: Readonly<Record<IpFamily, number>> = { IPv4: 0, IPv6: 1024 };
const everywhere: Readonly<Record<IpFamily, Cidr>> = {
  IPv4: { address: "0.0.0.0", prefixLength: 0 },
  IPv6: { address: "::", prefixLength: 0 },
};

interface PodRouting {
  readonly routes: readonly Route[];
  readonly rules: readonly SourceRule[];
}

/** Sets the routes of one interface, past those of the others. */
export function setUpRouting(socket: NetlinkSocket, pod: PodInterface, linkIndex: number): void {
  const { routes, rules } = routingOf(pod, linkIndex, listRoutes(socket, 0));
  const what = `${pod.ifName} in ${pod.netns}`;
  for (const route of routes) {
    doing("route", `add route to ${renderCidr(route.destination)} on ${what}`, () =>
      socket.request(replaceRoute(route)),
    );
  }
  for (const rule of rules) {
    const description = `add rule for packets from ${renderCidr(rule.source)} of ${what}`;
    doing("rule", description, () => socket.request(addSourceRule(rule)), [EEXIST]);
  }
}

/** Takes away the rules of interfaces that are gone from the namespace. */
export function sweepRouting(socket: NetlinkSocket, netns: string): void {
  const ours = socket
    .dump(dumpRules(), decodeRule)
    .filter(({ table, priority }) => priority === rulePriority && table > firstTable);
  if (ours.length === 0) return;
  const links = new Set(socket.dump(dumpLinks(), decodeLink).map(({ index }) => index));
  for (const rule of ours.filter(({ table }) => !links.has(table - firstTable))) {
    const description = `delete rule for packets from ${renderCidr(rule.source)} in ${netns}`;
    doing("rule", description, () => socket.request(deleteSourceRule(rule)), [ENOENT]);
  }
}

/** What of an interface's routes is missing, as sentences. */
export function routingDifferences(
  socket: NetlinkSocket,
  pod: PodInterface,
  linkIndex: number,
): string[] {
  const there = listRoutes(socket, 0);
  const { routes, rules } = routingOf(pod, linkIndex, there);
  const missing = routes.filter(
    (wanted) => wanted.table === undefined && !there.some((route) => isSameWay(route, wanted)),
  );
  const found = rules.length === 0 ? [] : socket.dump(dumpRules(), decodeRule);
  const lostRules = rules.filter(
    ({ source, table }) =>
      !found.some((rule) => rule.table === table && isSame(rule.source, source)),
  );
  return [
    ...missing.map(({ destination, via }) =>
      via === undefined
        ? `no route to gateway ${destination.address} on ${pod.ifName}`
        : `no default route via ${via} on ${pod.ifName}`,
    ),
    ...lostRules.map(
      ({ source }) => `no rule that sends what is from ${source.address} by ${pod.ifName}`,
    ),
  ];
}

function routingOf(pod: PodInterface, linkIndex: number, there: readonly Route[]): PodRouting {
  const common = { protocol: RTPROT_STATIC, linkIndex, onLink: false, blackhole: false };
  const table = firstTable + linkIndex;
  const routes: Route[] = [];
  const rules: SourceRule[] = [];
  for (const address of pod.addresses) {
    const family = familyOf(address);
    const via = podGateways[family];
    const rank = rankOf(linkIndex, family, there);
    const metric = rank === 0 ? {} : { metric: bestMetric[family] + rank };
    const toAll = { ...common, destination: everywhere[family], via };
    routes.push({ ...common, ...metric, destination: hostCidr(via) }, { ...toAll, ...metric });
    if (rank === 0) continue;
    routes.push({ ...toAll, onLink: true, table });
    rules.push({ source: hostCidr(address), table, priority: rulePriority });
  }
  return { routes, rules };
}

/** What it has, or the best that no other interface of ours has: how far behind the best route. */
function rankOf(linkIndex: number, family: IpFamily, there: readonly Route[]): number {
  const ours = there.filter(
    ({ destination, via }) => destination.prefixLength === 0 && via === podGateways[family],
  );
  const rank = (route: Route) => (route.metric ?? 0) - bestMetric[family];
  const own = ours.find((route) => route.linkIndex === linkIndex);
  if (own !== undefined) return Math.max(0, rank(own));
  const taken = new Set(ours.map(rank));
  let free = 0;
  while (taken.has(free)) free++;
  return free;
}

/** Whatever the metric. */
function isSameWay(a: Route, b: Route): boolean {
  return isSame(a.destination, b.destination) && a.linkIndex === b.linkIndex && a.via === b.via;
}

function isSame(a: Cidr, b: Cidr): boolean {
  return a.address === b.address && a.prefixLength === b.prefixLength;
}
