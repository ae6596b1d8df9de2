/**
 * The pod's side of its link: set up inside the pod's namespace, and checked there. Its routes are in pod-routes.ts.
 *
 * All of it is a handful of requests on a netlink socket opened in that namespace; the thread itself is home again
 * before the first is sent. Each request replaces, so setting up twice is setting up once.
 */

import { hostCidr, renderCidr } from "../base/ip.ts";
import type { PodInterface } from "../model/node-state.ts";
import { decodeAddress, dumpAddresses, replaceAddress } from "../wire/netlink/address.ts";
import { changeLink, decodeLink, getLink, type Link } from "../wire/netlink/link.ts";
import { ENODEV } from "./ffi.ts";
import { listLimits } from "./limits.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink-socket.ts";
import { inNetnsOf } from "./netns.ts";
import { routingDifferences, setUpRouting } from "./pod-routes.ts";
import { doing } from "./refusal.ts";

const loopbackIndex = 1; // in every namespace, since it is the first link that the kernel makes there

/** Runs `use` with a netlink socket of the namespace held open as `netnsFd`. */
export function withSocketIn<T>(
  netnsFd: number,
  netns: string,
  use: (socket: NetlinkSocket) => T,
): T {
  const socket = inNetnsOf(netnsFd, netns, () => new NetlinkSocket(NETLINK_ROUTE));
  try {
    return use(socket);
  } finally {
    socket.close();
  }
}

export function findLink(socket: NetlinkSocket, name: string): Link | undefined {
  return doing("link", `find link ${name}`, () => socket.get(getLink(name), decodeLink), [ENODEV]);
}

/** Loopback up, addresses, link up, routes. */
export function setUpPodInterface(socket: NetlinkSocket, pod: PodInterface, link: Link): void {
  const what = `${pod.ifName} in ${pod.netns}`;
  const linkIndex = link.index;
  doing("link", `set lo up in ${pod.netns}`, () =>
    socket.request(changeLink(loopbackIndex, { up: true })),
  );
  for (const cidr of pod.addresses.map(hostCidr)) {
    doing("address", `add ${renderCidr(cidr)} to ${what}`, () =>
      socket.request(replaceAddress({ linkIndex, ...cidr })),
    );
  }
  doing("link", `set ${what} up`, () =>
    socket.request(
      changeLink(linkIndex, { up: true, ...(link.mac === pod.mac ? {} : { mac: pod.mac }) }),
    ),
  );
  setUpRouting(socket, pod, linkIndex);
}

/** What differs from `pod`, as sentences. */
export function differencesOf(socket: NetlinkSocket, pod: PodInterface): string[] {
  const link = findLink(socket, pod.ifName);
  if (link === undefined) return [`interface ${pod.ifName} does not exist in ${pod.netns}`];
  const found: string[] = [];
  const what = `interface ${pod.ifName}`;
  if (!link.up) found.push(`${what} is down`);
  if (link.mac !== pod.mac) {
    found.push(`${what} has hardware address ${link.mac}, want ${pod.mac}`);
  }
  const addresses = socket
    .dump(dumpAddresses(), decodeAddress)
    .filter((address) => address.linkIndex === link.index)
    .filter(({ address }) => !isLinkLocal(address))
    .map(renderCidr);
  for (const wanted of pod.addresses.map(hostCidr).map(renderCidr)) {
    if (addresses.includes(wanted)) continue;
    const has = addresses.length === 0 ? "no address" : addresses.join(", ");
    found.push(`${what} has ${has}, want ${wanted}`);
  }
  found.push(...limitDifferences(socket, pod, link));
  found.push(...routingDifferences(socket, pod, link.index));
  return found;
}

function limitDifferences(socket: NetlinkSocket, pod: PodInterface, link: Link): string[] {
  if (pod.limit === undefined) return [];
  const wanted = pod.limit.bitsPerSecond;
  const limit = listLimits(socket).get(link.index);
  if (limit === wanted) return [];
  const found = limit === undefined ? "sends without limit" : `sends at up to ${limit} bit/s`;
  return [`interface ${pod.ifName} ${found}, want ${wanted} bit/s`];
}

/** The interface has one of its own of IPv6, which nobody gave it. */
function isLinkLocal(address: string): boolean {
  return address.startsWith("fe80:");
}
