/**
 * How packets get to pods of other nodes: routes, and for the overlay its device, neighbours and forwarding entries.
 *
 * Nothing is learned: which node holds which block, and each end point's hardware address, are in the view. A block of
 * another node is routed over `hdvxlan` by way of that node, so a node costs one neighbour for each family and one
 * forwarding entry however many blocks it holds. The next hop is the node's own address, for IPv6 a link-local one
 * made of its end point's hardware address: the outer packets are the underlay's family whatever is inside. A node
 * that shares a link with this one is its own next hop there, where encapsulation is `none` or `auto`.
 *
 * The overlay device carries the node's own addresses: packets from the node itself to pods of other nodes then have a
 * source that those can answer. Without it the kernel would take the first address it finds, 169.254.1.1 on `lo`,
 * which every node has.
 *
 * A node's own blocks are routed into a black hole, beneath the routes of its pods: a packet to an address that no pod
 * has must not leave the node, where others would send it straight back.
 */

import type { Diagnostic } from "../../base/compiled.ts";
import {
  type Cidr,
  cidrContains,
  familyOf,
  hostCidr,
  type IpFamily,
  renderCidr,
} from "../../base/ip.ts";
import { vxlanLink } from "../../model/names.ts";
import type {
  AddressSpec,
  ForwardingSpec,
  LinkSpec,
  NeighbourSpec,
  RouteSpec,
} from "../../model/node-state.ts";
import type { Encap, NetworkSettings, NodePeer, NodeView } from "../../model/node-view.ts";
import { linkLocalOf } from "./hardware-address.ts";

/** Ethernet's; where no node says what its link takes. */
const usualMtu = 1500;

/** What wrapping costs: outer IPv4 20 or IPv6 40, UDP 8, VXLAN 8, inner Ethernet 14. */
const overheadBytes: Readonly<Record<IpFamily, number>> = { IPv4: 50, IPv6: 70 };

export interface Overlay {
  readonly links: readonly LinkSpec[];
  readonly addresses: readonly AddressSpec[];
  readonly neighbours: readonly NeighbourSpec[];
  readonly forwarding: readonly ForwardingSpec[];
  readonly routes: readonly RouteSpec[];
  /** Largest packet of a pod. */
  readonly podMtu: number;
  readonly diagnostics: readonly Diagnostic[];
}

/** Empty until the view knows this node's own address: where packets would come from is not known before. */
export function overlayFor(view: NodeView): Overlay {
  const { settings } = view;
  const self = view.nodes.find((node) => node.name === view.node);
  const peers = view.nodes.filter((node) => node.name !== view.node);
  if (self === undefined) {
    const podMtu = (settings.mtu ?? usualMtu) - overhead(settings.encap, "IPv4");
    return { ...nothing, podMtu };
  }
  const podMtu = linkMtu(self, settings) - overhead(settings.encap, familyOf(self.address));
  const diagnostics: Diagnostic[] = [];
  const routes = [
    ...self.blocks.map((block): RouteSpec => ({ destination: block, blackhole: true })),
    ...peers.flatMap((peer) => routesTo(peer, self, settings, podMtu, diagnostics)),
  ];
  const device = deviceFor(self, peers, settings, podMtu);
  return { ...device, routes, podMtu, diagnostics };
}

const nothing: Overlay = {
  links: [],
  addresses: [],
  neighbours: [],
  forwarding: [],
  routes: [],
  podMtu: usualMtu,
  diagnostics: [],
};

/** Whether packets may come and go over the overlay's device. */
export function hasOverlay(encap: Encap): encap is Extract<Encap, { vni: number }> {
  return encap.kind === "vxlan" || encap.kind === "auto";
}

export function overhead(encap: Encap, underlay: IpFamily): number {
  return hasOverlay(encap) ? overheadBytes[underlay] : 0;
}

export function linkMtu(node: NodePeer, settings: NetworkSettings): number {
  return settings.mtu ?? node.mtu ?? usualMtu;
}

function deviceFor(
  self: NodePeer,
  peers: readonly NodePeer[],
  settings: NetworkSettings,
  mtu: number,
): Omit<Overlay, "routes" | "podMtu" | "diagnostics"> {
  const { encap } = settings;
  if (!hasOverlay(encap)) return nothing;
  const family = familyOf(self.address);
  const hasIpv6 = usesIpv6(settings);
  const reachable = peers.flatMap((peer) => {
    const remote = peer.addresses.find((address) => familyOf(address) === family);
    return remote === undefined ? [] : { peer, remote };
  });
  return {
    links: [
      {
        kind: "vxlan",
        name: vxlanLink,
        mtu,
        mac: self.vtepMac,
        vni: encap.vni,
        port: encap.port,
        local: self.address,
      },
    ],
    addresses: [
      ...self.addresses
        .filter((address) => hasIpv6 || familyOf(address) === "IPv4")
        .map((address) => ({ link: vxlanLink, ...hostCidr(address) })),
      ...(hasIpv6
        ? [{ link: vxlanLink, address: linkLocalOf(self.vtepMac), prefixLength: 64 }]
        : []),
    ],
    neighbours: reachable.flatMap(({ peer, remote }) =>
      [...(family === "IPv4" ? [remote] : []), ...(hasIpv6 ? [linkLocalOf(peer.vtepMac)] : [])].map(
        (address) => ({ link: vxlanLink, address, mac: peer.vtepMac }),
      ),
    ),
    forwarding: reachable.map(({ peer, remote }) => ({
      link: vxlanLink,
      mac: peer.vtepMac,
      remote,
    })),
  };
}

export function usesIpv6({ pools }: NetworkSettings): boolean {
  return pools.some(({ cidr }) => familyOf(cidr.address) === "IPv6");
}

function routesTo(
  peer: NodePeer,
  self: NodePeer,
  settings: NetworkSettings,
  podMtu: number,
  diagnostics: Diagnostic[],
): readonly RouteSpec[] {
  const smallest = linkMtu(peer, settings);
  return peer.blocks.flatMap((block): readonly RouteSpec[] => {
    const family = familyOf(block.address);
    const direct = directTo(peer, self, family, settings.encap);
    if (direct !== undefined) {
      return [{ destination: block, via: direct, ...smaller(smallest, podMtu) }];
    }
    const via = overlayHop(peer, self, family);
    if (!hasOverlay(settings.encap) || via === undefined) {
      diagnostics.push(unreachableBlock(peer, block, family, settings.encap));
      return [{ destination: block, blackhole: true }];
    }
    const wrapped = smallest - overhead(settings.encap, familyOf(self.address));
    return [
      { destination: block, link: vxlanLink, via, onLink: true, ...smaller(wrapped, podMtu) },
    ];
  });
}

/** A route says its size only where pods would send more. */
function smaller(size: number, podMtu: number): { readonly mtu?: number } {
  return size < podMtu ? { mtu: size } : {};
}

/** The peer's address where the peer is to be its own next hop. */
export function directTo(
  peer: NodePeer,
  self: NodePeer,
  family: IpFamily,
  encap: Encap,
): string | undefined {
  const address = peer.addresses.find((each) => familyOf(each) === family);
  if (address === undefined) return undefined;
  if (encap.kind === "none") return address;
  const isNear = (self.networks ?? []).some((network) => cidrContains(network, address));
  return encap.kind === "auto" && isNear ? address : undefined;
}

export function overlayHop(peer: NodePeer, self: NodePeer, family: IpFamily): string | undefined {
  const outer = familyOf(self.address);
  const remote = peer.addresses.find((address) => familyOf(address) === outer);
  if (remote === undefined) return undefined;
  if (family === "IPv6") return linkLocalOf(peer.vtepMac);
  return outer === "IPv4" ? remote : undefined;
}

function unreachableBlock(peer: NodePeer, block: Cidr, family: IpFamily, encap: Encap): Diagnostic {
  const why =
    encap.kind === "wireguard"
      ? "encap wireguard is not available on this node, and nothing is sent in the clear instead"
      : `node ${peer.name} has no ${family} address that this node could send to`;
  return {
    severity: "error",
    code: "HEDDLE0304",
    where: `Node ${peer.name}`,
    message: `pods of ${renderCidr(block)} cannot be reached: ${why}`,
  };
}
