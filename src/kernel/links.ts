/**
 * Makes veths and VXLAN devices (wireguard.ts: the third kind of link that is ours), so that afterwards they are as
 * wanted whatever was there before.
 *
 * A veth whose pair is what is wanted is completed in place (up, MTU, the pod's address and routes), which is how an
 * agent that died in the middle goes on; any other link of the name is deleted and made anew. A VXLAN device changes
 * MTU and hardware address in place and is made anew for the rest, which the kernel fixes at creation; its forwarding
 * entries, neighbours and routes go with the old one, and the next plan brings them back.
 */

import { closeSync, existsSync } from "node:fs";
import { MeshError } from "../base/error.ts";
import type { LinkSpec, VethSpec, VxlanSpec, WireguardSpec } from "../model/node-state.ts";
import { changeLink, createVeth, createVxlan, type Link } from "../wire/netlink/link.ts";
import { EEXIST, SystemCallError } from "./ffi.ts";
import { setLimit } from "./limits.ts";
import { removeLink } from "./link-removal.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { openNetns } from "./netns.ts";
import { findLink, setUpPodInterface, withSocketIn } from "./pod-interface.ts";
import { doing, refusal } from "./refusal.ts";

export function ensureLink(socket: NetlinkSocket, spec: Exclude<LinkSpec, WireguardSpec>): void {
  if (spec.kind === "veth") ensureVeth(socket, spec);
  else ensureVxlan(socket, spec);
}

function ensureVeth(socket: NetlinkSocket, spec: VethSpec): void {
  const { peer } = spec;
  const netnsFd = openNetns(peer.netns);
  try {
    withSocketIn(netnsFd, peer.netns, (inside) => {
      // The usual case is that nothing is there: try that first, look only when refused.
      if (!tryCreateVeth(socket, spec, netnsFd)) reuseVeth(socket, inside, spec, netnsFd);
      const podLink = findLink(inside, peer.ifName);
      if (podLink === undefined) {
        throw new MeshError(
          "kernel.link.absent",
          `find ${peer.ifName} in ${peer.netns}: it was deleted while it was set up`,
          { fault: "host", retryable: true },
        );
      }
      setUpPodInterface(inside, peer, podLink);
      if (peer.limit !== undefined) {
        setLimit(
          inside,
          { index: podLink.index, what: `${peer.ifName} in ${peer.netns}` },
          peer.limit,
        );
      }
    });
    const hostLink = findLink(socket, spec.name);
    if (hostLink === undefined) {
      throw new MeshError(
        "kernel.link.absent",
        `find link ${spec.name}: it was deleted meanwhile`,
        {
          fault: "host",
          retryable: true,
        },
      );
    }
    if (spec.limit !== undefined) {
      setLimit(socket, { index: hostLink.index, what: `link ${spec.name}` }, spec.limit);
    }
    const { mtu, routesLoopback } = spec;
    bringUp(socket, hostLink, { mtu, ...(routesLoopback === undefined ? {} : { routesLoopback }) });
  } finally {
    closeSync(netnsFd);
  }
}

/** False where the host has a link of the name; throws where only the pod has one. */
function tryCreateVeth(socket: NetlinkSocket, spec: VethSpec, netnsFd: number): boolean {
  const { name, mtu, peer } = spec;
  const description = `create veth ${name} with ${peer.ifName} in ${peer.netns}`;
  try {
    socket.request(createVeth({ name, mtu, peer: { name: peer.ifName, mac: peer.mac, netnsFd } }));
    return true;
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    if (error.errno !== EEXIST) throw refusal("link", description, error);
    if (findLink(socket, name) !== undefined) return false;
    throw new MeshError(
      "kernel.link.exists",
      `${description}: the pod has an interface ${peer.ifName} already`,
      { cause: error, fault: "host" },
    );
  }
}

/** Keeps the link of the name where its other end is the wanted one, and makes a new one where it is not. */
function reuseVeth(
  socket: NetlinkSocket,
  inside: NetlinkSocket,
  spec: VethSpec,
  netnsFd: number,
): void {
  const host = findLink(socket, spec.name);
  const pod = findLink(inside, spec.peer.ifName);
  if (host !== undefined && pod !== undefined && isPair(host, pod)) {
    if (pod.mtu !== spec.mtu) {
      doing("link", `set MTU of ${spec.peer.ifName} in ${spec.peer.netns} to ${spec.mtu}`, () =>
        inside.request(changeLink(pod.index, { mtu: spec.mtu })),
      );
    }
    return;
  }
  removeLink(socket, spec.name);
  if (!tryCreateVeth(socket, spec, netnsFd)) {
    throw new MeshError(
      "kernel.link.exists",
      `create veth ${spec.name}: somebody made it meanwhile`,
      {
        fault: "host",
        retryable: true,
      },
    );
  }
}

function isPair(host: Link, pod: Link): boolean {
  return host.kind === "veth" && host.peerIndex === pod.index && pod.peerIndex === host.index;
}

function ensureVxlan(socket: NetlinkSocket, spec: VxlanSpec): void {
  const existing = findLink(socket, spec.name);
  if (existing !== undefined && isSameTunnel(existing, spec)) {
    bringUp(socket, existing, { mtu: spec.mtu, mac: spec.mac, ...sourcesOf(spec) });
    return;
  }
  if (existing !== undefined) removeLink(socket, spec.name);
  const description = `create VXLAN device ${spec.name} with VNI ${spec.vni} on port ${spec.port}`;
  doing("link", description, () => socket.request(createVxlan(spec)));
  const made = findLink(socket, spec.name);
  if (made !== undefined) bringUp(socket, made, sourcesOf(spec));
}

function sourcesOf({ looseSources }: VxlanSpec): { readonly looseSources?: true } {
  return looseSources === undefined ? {} : { looseSources };
}

function isSameTunnel(link: Link, spec: VxlanSpec): boolean {
  const { vxlan } = link;
  return (
    vxlan !== undefined &&
    vxlan.vni === spec.vni &&
    vxlan.port === spec.port &&
    vxlan.local === spec.local &&
    !vxlan.learning
  );
}

/** False where the kernel was started without IPv6. */
function hasIpv6(): boolean {
  return existsSync("/proc/sys/net/ipv6");
}

/** Sets what differs, and the link up. */
export function bringUp(
  socket: NetlinkSocket,
  link: Link,
  wanted: {
    readonly mtu?: number;
    readonly mac?: string;
    readonly routesLoopback?: boolean;
    readonly looseSources?: true;
  },
): void {
  const mtu = wanted.mtu === link.mtu ? undefined : wanted.mtu;
  const mac = wanted.mac === link.mac ? undefined : wanted.mac;
  const routesLoopback =
    wanted.routesLoopback === link.routesLoopback ? undefined : wanted.routesLoopback;
  const looseSources = link.looseSources ? undefined : wanted.looseSources;
  const changes = [mtu, mac, routesLoopback, looseSources];
  if (link.up && changes.every((change) => change === undefined)) return;
  if (!link.up && hasIpv6()) {
    // By itself: in one request the kernel would bring the link up first, and give it an address then.
    doing("link", `keep link ${link.name} without an address of its own`, () =>
      socket.request(changeLink(link.index, { noOwnAddress: true })),
    );
  }
  doing("link", `set link ${link.name} up`, () =>
    socket.request(
      changeLink(link.index, {
        up: true,
        ...(mtu === undefined ? {} : { mtu }),
        ...(mac === undefined ? {} : { mac }),
        ...(routesLoopback === undefined ? {} : { routesLoopback }),
        ...(looseSources === undefined ? {} : { looseSources }),
      }),
    ),
  );
}
