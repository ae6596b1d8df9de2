/**
 * What the table sees to where packets between nodes are to be encrypted: none from pod to pod passes by another link than
 * ours, whatever routes say, and whatever is missing.
 *
 * So is what pods send to other nodes' own addresses: it may be the answer to a pod there, whose node has asked in its place
 * (a node port, an external address). A device that is missing has taken the routes to them along, and the uplink's are left.
 * Nodes without a key are asked and answered plainly, and so is every node by one that cannot encrypt.
 *
 * Not here: the routes that lead there (../topology/overlay.ts).
 */

import { linkPrefix } from "../../model/names.ts";
import type { NftChain, NftSet } from "../../model/node-state.ts";
import { nftFamilies, ofBoth, ofFamily } from "./families.ts";
import { logAndDrop } from "./names.ts";

const ours = `"${linkPrefix}*"`;
const unencrypted = logAndDrop({ kind: "admission", reason: "unencrypted" });

/** In `forward` and `input`: what arrives. */
export const fromPodsInTheClear: readonly string[] = ofBoth(
  ({ keyword, suffix }) =>
    `iifname != ${ours} ${keyword} saddr @pod-ranges${suffix} ${unencrypted}`,
);

/** What leaves: before anybody's source is changed, so that pods' packets are known by theirs. */
export const encryption: NftChain = {
  name: "encryption",
  hook: "type filter hook postrouting priority filter; policy accept;",
  rules: [
    `oifname ${ours} accept`,
    'oifname "lo" accept',
    ...ofBoth(({ keyword, suffix }) => [
      `${keyword} daddr @pod-ranges${suffix} ${unencrypted}`,
      `${keyword} saddr @pod-ranges${suffix} ${keyword} daddr @encrypted-nodes${suffix} ${unencrypted}`,
    ]),
  ],
};

export function encryptedNodeSets(addresses: readonly string[]): readonly NftSet[] {
  return nftFamilies.map(({ family, addressType, suffix }) => ({
    name: `encrypted-nodes${suffix}`,
    type: `type ${addressType}`,
    elements: [...ofFamily(family, addresses)].sort(),
  }));
}
