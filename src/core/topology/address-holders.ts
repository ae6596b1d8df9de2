/**
 * Which node has an address that Node objects show. A node writes its own object, so a pod's address is nobody's,
 * whoever shows it: with it would come the pod's packets. Of several that show one, as after a machine was renamed and
 * until somebody deletes the old object, one has it, the same at every look: this node what is its own, and of others
 * the newest object, since what is older has been left behind.
 */

import type { Diagnostic } from "../../base/compiled.ts";
import { cidrContains } from "../../base/ip.ts";
import type { NodePeer, NodeView } from "../../model/node-view.ts";

export type AddressHolders = ReadonlyMap<string, NodePeer>;

export function addressHolders({ node, nodes, settings: { pools } }: NodeView): AddressHolders {
  const rank = ({ name, created = "" }: NodePeer) => `${name === node ? 1 : 0} ${created} ${name}`;
  const holders = new Map<string, NodePeer>();
  for (const peer of nodes) {
    for (const address of peer.addresses) {
      if (pools.some(({ cidr }) => cidrContains(cidr, address))) continue;
      const other = holders.get(address);
      if (other === undefined || rank(peer) > rank(other)) holders.set(address, peer);
    }
  }
  return holders;
}

/** One for each address that a node shows and does not have. */
export function lostAddresses({ nodes }: NodeView, holders: AddressHolders): readonly Diagnostic[] {
  return nodes.flatMap((peer) =>
    peer.addresses.flatMap((address): readonly Diagnostic[] => {
      const holder = holders.get(address);
      return holder === undefined || holder === peer
        ? []
        : [
            {
              severity: "warning",
              code: "HEDDLE0306",
              where: `Node ${peer.name}`,
              message: `address ${address} is taken for that of node ${holder.name}, which shows it as well: delete the Node object of the two that is left over`,
            },
          ];
    }),
  );
}
