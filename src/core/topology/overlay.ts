/**
 * How packets get to pods of other nodes: routes, and for the overlay its device, neighbours and forwarding entries.
 *
 * The encrypted overlay, whose device needs neither neighbours nor forwarding entries, is in wireguard.ts. Nothing is
 * learned: which node holds which block, and each end point's hardware address, are in the view. A block of another
 * node is routed over `hdvxlan` by way of that node, so a node costs one neighbour for each family and one forwarding
 * entry however many blocks it holds. The next hop is the node's own address, for IPv6 a link-local one made of its end
 * point's hardware address: the outer packets are the underlay's family whatever is inside. A node that shares a link
 * with this one is its own next hop there, where encapsulation is `none` or `auto`.
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
import { encryptedTable, vxlanLink, wireguardLink } from "../../model/names.ts";
import type {
  AddressSpec,
  ForwardingSpec,
  LinkSpec,
  NeighbourSpec,
  RouteSpec,
  RuleSpec,
} from "../../model/node-state.ts";
import type { Encap, NetworkSettings, NodePeer, NodeView } from "../../model/node-view.ts";
import { addressHolders, lostAddresses } from "./address-holders.ts";
import { linkLocalOf } from "./hardware-address.ts";
import { encryptedPeers, encryptionRefusal, wireguardDevice } from "./wireguard.ts";

/** Ethernet's; where no node says what its link takes. */
const usualMtu = 1500;

/** What wrapping costs: outer IPv4 20 or IPv6 40, UDP 8, then VXLAN 8 and inner Ethernet 14. */
const vxlanBytes: Readonly<Record<IpFamily, number>> = { IPv4: 50, IPv6: 70 };
/** The same, then WireGuard's head 16 and authenticator 16. */
const wireguardBytes: Readonly<Record<IpFamily, number>> = { IPv4: 60, IPv6: 80 };

export interface Overlay {
  readonly links: readonly LinkSpec[];
  readonly addresses: readonly AddressSpec[];
  readonly neighbours: readonly NeighbourSpec[];
  readonly forwarding: readonly ForwardingSpec[];
  readonly routes: readonly RouteSpec[];
  readonly rules: readonly RuleSpec[];
  /** Own addresses of other nodes that pods' packets reach encrypted, or not at all. */
  readonly encryptedNodes: readonly string[];
  /** Largest packet of a pod. */
  readonly podMtu: number;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Empty until the view knows this node's own address: where packets would come from is not known before. `canEncrypt`:
 * the node can have a WireGuard device; one that cannot has no way to other nodes where the network wants encryption.
 */
export function overlayFor(view: NodeView, canEncrypt = false): Overlay {
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
    ...peers.flatMap((peer) => {
      const refusal = encryptionRefusal(peer, view, canEncrypt);
      return refusal === undefined
        ? routesTo(peer, self, settings, podMtu, diagnostics)
        : peer.blocks.map((block) => blackholed(peer, block, refusal, diagnostics));
    }),
  ];
  if (settings.encap.kind === "wireguard") {
    diagnostics.push(...lostAddresses(view, addressHolders(view)));
  }
  const device = deviceFor(self, view, podMtu, canEncrypt);
  const isEncrypted = settings.encap.kind === "wireguard" && canEncrypt;
  const toNodes = isEncrypted ? waysToNodes(self, view, podMtu) : [];
  return {
    ...device,
    routes: [...routes, ...toNodes],
    rules: isEncrypted ? rulesToNodes(settings) : [],
    encryptedNodes: toNodes.map(({ destination }) => destination.address),
    podMtu,
    diagnostics,
  };
}

const nothing: Overlay = {
  links: [],
  addresses: [],
  neighbours: [],
  forwarding: [],
  routes: [],
  rules: [],
  encryptedNodes: [],
  podMtu: usualMtu,
  diagnostics: [],
};

/** Whether packets may come and go over the overlay's device. */
export function hasOverlay(encap: Encap): encap is OverlayEncap {
  return encap.kind !== "none";
}

export type OverlayEncap = Exclude<Encap, { readonly kind: "none" }>;

export function overlayLink({ kind }: OverlayEncap): string {
  return kind === "wireguard" ? wireguardLink : vxlanLink;
}

export function overhead(encap: Encap, underlay: IpFamily): number {
  if (!hasOverlay(encap)) return 0;
  return (encap.kind === "wireguard" ? wireguardBytes : vxlanBytes)[underlay];
}

export function linkMtu(node: NodePeer, settings: NetworkSettings): number {
  return settings.mtu ?? node.mtu ?? usualMtu;
}

function deviceFor(
  self: NodePeer,
  view: NodeView,
  mtu: number,
  canEncrypt: boolean,
): Pick<Overlay, "links" | "addresses" | "neighbours" | "forwarding"> {
  const { encap } = view.settings;
  if (!hasOverlay(encap)) return nothing;
  const hasIpv6 = usesIpv6(view.settings);
  const addresses = addressesOn(overlayLink(encap), self, hasIpv6);
  if (encap.kind === "wireguard") {
    if (!canEncrypt) return nothing;
    return { ...nothing, links: [wireguardDevice(self, view, encap.port, mtu)], addresses };
  }
  const family = familyOf(self.address);
  const reachable = view.nodes.flatMap((peer) => {
    const remote = remoteOf(peer, self);
    return remote === undefined || peer === self ? [] : { peer, remote };
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
        looseSources: true,
      },
    ],
    addresses,
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

function addressesOn(link: string, self: NodePeer, hasIpv6: boolean): readonly AddressSpec[] {
  return [
    ...self.addresses
      .filter((address) => hasIpv6 || familyOf(address) === "IPv4")
      .map((address) => ({ link, ...hostCidr(address) })),
    ...(hasIpv6 ? [{ link, address: linkLocalOf(self.vtepMac), prefixLength: 64 }] : []),
  ];
}

export function usesIpv6({ pools }: NetworkSettings): boolean {
  return pools.some(({ cidr }) => familyOf(cidr.address) === "IPv6");
}

/**
 * Pods reach other nodes' own addresses encrypted, too: by a table of their own, since what a node itself sends goes plainly.
 * Else what they answer to a node, which comes from its address, would be all that passes in the clear; and where that node
 * asked for another pod, it drops such an answer.
 */
function waysToNodes(self: NodePeer, view: NodeView, podMtu: number): readonly RouteSpec[] {
  const { settings } = view;
  const families = new Set(settings.pools.map(({ cidr }) => familyOf(cidr.address)));
  const link = wireguardLink;
  return encryptedPeers(self, view).flatMap(({ peer, own }) => {
    const wrapped = linkMtu(peer, settings) - overhead(settings.encap, familyOf(self.address));
    return own
      .filter((address) => families.has(familyOf(address)))
      .map((address) => ({
        ...{ destination: hostCidr(address), link, table: encryptedTable },
        ...smaller(wrapped, podMtu),
      }));
  });
}

function rulesToNodes({ pools }: NetworkSettings): readonly RuleSpec[] {
  return pools.map(({ cidr }) => ({ source: cidr, table: encryptedTable }));
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
    const isEncrypted = settings.encap.kind === "wireguard";
    // Inside of WireGuard there are no next hops: the block's peer is who has the address.
    const via = isEncrypted ? remoteOf(peer, self) : overlayHop(peer, self, family);
    if (!hasOverlay(settings.encap) || via === undefined) {
      const why = `node ${peer.name} has no ${family} address that this node could send to`;
      return [blackholed(peer, block, why, diagnostics)];
    }
    const wrapped = smallest - overhead(settings.encap, familyOf(self.address));
    const link = overlayLink(settings.encap);
    const hop = isEncrypted ? {} : { via, onLink: true };
    return [{ destination: block, link, ...hop, ...smaller(wrapped, podMtu) }];
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
  const remote = remoteOf(peer, self);
  if (remote === undefined) return undefined;
  if (family === "IPv6") return linkLocalOf(peer.vtepMac);
  return familyOf(remote) === "IPv4" ? remote : undefined;
}

/** Where packets to the peer go outside, whatever is inside: of the family of this node's own address. */
export function remoteOf(peer: NodePeer, self: NodePeer): string | undefined {
  return peer.addresses.find((address) => familyOf(address) === familyOf(self.address));
}

/** No way is better than another one than was asked for. */
function blackholed(
  peer: NodePeer,
  block: Cidr,
  why: string,
  diagnostics: Diagnostic[],
): RouteSpec {
  diagnostics.push({
    severity: "error",
    code: "HEDDLE0304",
    where: `Node ${peer.name}`,
    message: `pods of ${renderCidr(block)} cannot be reached: ${why}`,
  });
  return { destination: block, blackhole: true };
}
