/**
 * How packets get to pods of other nodes: routes, and for the overlay its device, neighbours and forwarding entries.
 *
 * Nothing is learned: which node holds which block, and each end point's hardware address, are in the view. A block of
 * another node is routed over `hdvxlan` by way of that node's own address, so a node costs one neighbour and one
 * forwarding entry however many blocks it holds. Without encapsulation the next hop is that same address, on the
 * nodes' common link.
 *
 * The overlay device carries the node's own address (as a /32): packets from the node itself to pods of other nodes
 * then have a source that those can answer. Without it the kernel would take the first address it finds, 169.254.1.1
 * on `lo`, which every node has.
 *
 * A node's own blocks are routed into a black hole, beneath the routes of its pods: a packet to an address that no pod
 * has must not leave the node, where others would send it straight back.
 */

import { vxlanLink } from "../../model/names.ts";
import type {
  AddressSpec,
  ForwardingSpec,
  LinkSpec,
  NeighbourSpec,
  RouteSpec,
} from "../../model/node-state.ts";
import type { Encap, NodePeer, NodeView } from "../../model/node-view.ts";

/** Largest packet of the nodes' own links; Ethernet's. */
const underlayMtu = 1500;

/** Largest packet of a pod: what is left when the overlay has wrapped it. */
export function podMtu(encap: Encap): number {
  // Outer IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14.
  return encap.kind === "vxlan" ? underlayMtu - 50 : underlayMtu;
}

export interface Overlay {
  readonly links: readonly LinkSpec[];
  readonly addresses: readonly AddressSpec[];
  readonly neighbours: readonly NeighbourSpec[];
  readonly forwarding: readonly ForwardingSpec[];
  readonly routes: readonly RouteSpec[];
}

const nothing: Overlay = {
  links: [],
  addresses: [],
  neighbours: [],
  forwarding: [],
  routes: [],
};

/** Empty until the view knows this node's own address: where packets would come from is not known before. */
export function overlayFor(view: NodeView): Overlay {
  const self = view.nodes.find((node) => node.name === view.node);
  if (self === undefined) return nothing;
  const peers = view.nodes.filter((node) => node.name !== view.node);
  const own = self.blocks.map((block): RouteSpec => ({ destination: block, blackhole: true }));
  const { encap } = view.settings;
  if (encap.kind === "none")
    return { ...nothing, routes: [...own, ...peers.flatMap(directRoutes)] };
  return {
    links: [
      {
        kind: "vxlan",
        name: vxlanLink,
        mtu: podMtu(encap),
        mac: self.vtepMac,
        vni: encap.vni,
        port: encap.port,
        local: self.address,
      },
    ],
    addresses: [{ link: vxlanLink, address: self.address, prefixLength: 32 }],
    neighbours: peers.map(({ address, vtepMac }) => ({ link: vxlanLink, address, mac: vtepMac })),
    forwarding: peers.map(({ address, vtepMac }) => ({
      link: vxlanLink,
      mac: vtepMac,
      remote: address,
    })),
    routes: [...own, ...peers.flatMap(overlayRoutes)],
  };
}

function directRoutes(peer: NodePeer): readonly RouteSpec[] {
  return peer.blocks.map((block) => ({ destination: block, via: peer.address }));
}

function overlayRoutes(peer: NodePeer): readonly RouteSpec[] {
  return peer.blocks.map((block) => ({
    destination: block,
    link: vxlanLink,
    via: peer.address,
    onLink: true,
  }));
}
