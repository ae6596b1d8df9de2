/**
 * The encrypted overlay: the node's WireGuard device with all that it speaks to, and whom it cannot speak to, and why.
 *
 * WireGuard's own table of keys is the authority: what comes from a peer must have the address of one of its blocks or one
 * of its own, and what goes to an address is encrypted for the one peer that has it. A key stands for one node: two that
 * show the same (a machine's disk was copied) would take each other's packets, so neither is spoken to. An address belongs
 * to one key, too: two that were given it would take it from each other at every look.
 */

import { familyOf, hostCidr, renderCidr } from "../../base/ip.ts";
import { wireguardLink } from "../../model/names.ts";
import type { WireguardPeerSpec, WireguardSpec } from "../../model/node-state.ts";
import type { NodePeer, NodeView } from "../../model/node-view.ts";
import { addressHolders } from "./address-holders.ts";
import { linkLocalOf } from "./hardware-address.ts";

export function wireguardDevice(
  self: NodePeer,
  view: NodeView,
  port: number,
  mtu: number,
): WireguardSpec {
  const peers = encryptedPeers(self, view)
    .map((each) => peerSpec(each, port))
    .sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1));
  const name = wireguardLink;
  return { kind: "wireguard", name, mtu, port, hasNodeKey: true, looseSources: true, peers };
}

export interface EncryptedPeer {
  readonly peer: NodePeer;
  readonly publicKey: string;
  /** Where it is reached: of the family of this node's own address. */
  readonly remote: string;
  /** Those of its addresses that no other node has. */
  readonly own: readonly string[];
}

/** Whom the node speaks to. */
export function encryptedPeers(self: NodePeer, view: NodeView): readonly EncryptedPeer[] {
  const holders = addressHolders(view);
  return view.nodes.flatMap((peer) => {
    const remote = peer.addresses.find((each) => familyOf(each) === familyOf(self.address));
    const { wireguardKey: publicKey } = peer;
    if (peer === self || remote === undefined || publicKey === undefined) return [];
    if (keyRefusal(peer, view) !== undefined) return [];
    const own = peer.addresses.filter((address) => holders.get(address) === peer);
    return [{ peer, publicKey, remote, own }];
  });
}

function peerSpec(
  { peer, publicKey, remote, own }: EncryptedPeer,
  port: number,
): WireguardPeerSpec {
  return {
    publicKey,
    endpoint: familyOf(remote) === "IPv4" ? `${remote}:${port}` : `[${remote}]:${port}`,
    allowed: [
      ...peer.blocks,
      // What the node itself sends to pods or answers them, and the probes of a check.
      ...[...own, linkLocalOf(peer.vtepMac)].map(hostCidr),
    ]
      .map(renderCidr)
      .sort(),
  };
}

/** Why pods of the peer cannot be reached although they would be without encryption; undefined where nothing is wrong. */
export function encryptionRefusal(
  peer: NodePeer,
  view: NodeView,
  canEncrypt: boolean,
): string | undefined {
  if (view.settings.encap.kind !== "wireguard") return undefined;
  if (!canEncrypt) {
    return "encap wireguard is not available on this node, and nothing is sent in the clear instead";
  }
  return keyRefusal(peer, view);
}

function keyRefusal({ name, wireguardKey }: NodePeer, { nodes }: NodeView): string | undefined {
  if (wireguardKey === undefined) {
    return `node ${name} has published no WireGuard key, and nothing is sent in the clear instead`;
  }
  const twin = nodes.find((other) => other.name !== name && other.wireguardKey === wireguardKey);
  return twin === undefined
    ? undefined
    : `nodes ${name} and ${twin.name} have the same WireGuard key: delete wireguard.key in the state folder of one, and restart its agent`;
}
