/**
 * The ways from this node to each other one, as probes can take them: plainly, and wrapped where pods' packets are.
 *
 * The overlay's device carries the node's own addresses, and the other node's are its neighbours there. So a probe that
 * is bound to the device takes the very way of pods' packets, although its addresses are the underlay's; what answers
 * it comes back plainly.
 */

import { familyOf } from "../../base/ip.ts";
import type { Way } from "../../model/network-check.ts";
import type { NodePeer, NodeView } from "../../model/node-view.ts";
import { linkLocalOf } from "./hardware-address.ts";
import { directTo, hasOverlay, linkMtu, overhead, overlayHop, overlayLink } from "./overlay.ts";

export interface WayTo {
  readonly peer: string;
  readonly way: Way;
  readonly from: string;
  readonly to: string;
  /** The link to leave by; absent: whichever the routes say. */
  readonly link?: string;
  /** The largest packet that is sent on it. */
  readonly bytes: number;
}

/** Empty until the view knows this node's own address. */
export function waysFrom(view: NodeView): readonly WayTo[] {
  const self = view.nodes.find(({ name }) => name === view.node);
  if (self === undefined) return [];
  return view.nodes
    .filter(({ name }) => name !== view.node)
    .flatMap((peer) => waysTo(peer, self, view));
}

function waysTo(peer: NodePeer, self: NodePeer, { settings }: NodeView): readonly WayTo[] {
  const family = familyOf(self.address);
  const to = peer.addresses.find((address) => familyOf(address) === family);
  if (to === undefined) return [];
  const bytes = Math.min(linkMtu(self, settings), linkMtu(peer, settings));
  const plain: WayTo = { peer: peer.name, way: "underlay", from: self.address, to, bytes };
  const isDirect = directTo(peer, self, family, settings.encap) !== undefined;
  const hop = overlayHop(peer, self, family);
  if (!hasOverlay(settings.encap) || isDirect || hop === undefined) return [plain];
  const wrapped: WayTo = {
    peer: peer.name,
    way: "overlay",
    from: family === "IPv4" ? self.address : linkLocalOf(self.vtepMac),
    to: hop,
    link: overlayLink(settings.encap),
    bytes: bytes - overhead(settings.encap, family),
  };
  return [plain, wrapped];
}
