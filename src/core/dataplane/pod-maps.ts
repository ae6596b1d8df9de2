/**
 * The elements that say which pod is behind which link and address: admission, identity, and where policy is asked.
 *
 * Attachments are this node's own knowledge and come first: an attached pod has its address here before the server has
 * heard of it. An attached pod that the view does not know (or knows under another uid) is isolated completely, in
 * both directions, until it does: fail closed.
 */

import type { Diagnostic } from "../../base/compiled.ts";
import { type IpFamily, ipFamilies, parseIp } from "../../base/ip.ts";
import type { NftChain, NftMap, NftSet } from "../../model/node-state.ts";
import type { Attachment, IdentityPolicy, NodeView, WorkloadView } from "../../model/node-view.ts";
import { hasOverlay, overlayLink } from "../topology/overlay.ts";
import { nftFamily, ofFamily } from "./families.ts";
import { type Direction, identityMark, policyChain } from "./names.ts";
import { chainFor, unknownPodChain } from "./policy-chains.ts";

export interface PodMaps {
  readonly sets: readonly NftSet[];
  readonly maps: readonly NftMap[];
  readonly chains: readonly NftChain[];
  readonly diagnostics: readonly Diagnostic[];
}

export function podMaps(view: NodeView, attachments: readonly Attachment[]): PodMaps {
  const workloads = workloadIndex(view.workloads);
  const policies = policyIndex(view.policies);
  const diagnostics: Diagnostic[] = [];
  const pods = [...attachments]
    .sort((a, b) => (a.hostLink < b.hostLink ? -1 : 1))
    .map((attachment) => {
      const identity = identityOf(attachment, workloads);
      if (identity === undefined) diagnostics.push(unknownPod(attachment));
      return { attachment, identity };
    });
  const ingress = directionMap("ingress", pods, policies, view);
  const egress = directionMap("egress", pods, policies, view);
  return {
    sets: [
      ...ipFamilies.flatMap((family) => addressSets(family, pods)),
      {
        name: "links",
        type: "type ifname",
        elements: pods.map(({ attachment }) => `"${attachment.hostLink}"`),
      },
      ...ingress.sets,
      ...egress.sets,
    ],
    maps: [
      ...ipFamilies.map((family) => identityMap(family, view.workloads, pods)),
      ingress.map,
      egress.map,
    ],
    chains: [...ingress.chains, ...egress.chains],
    diagnostics,
  };
}

/** Who may send from which address, and the pairs that are a pod and itself. */
function addressSets(family: IpFamily, pods: readonly LocalPod[]): readonly NftSet[] {
  const { addressType, suffix } = nftFamily[family];
  const places = pods.flatMap(({ attachment: { hostLink, addresses } }) =>
    ofFamily(family, addresses).map((address) => ({ hostLink, address })),
  );
  return [
    {
      name: `attached${suffix}`,
      type: `type ifname . ${addressType}`,
      elements: places.map(({ hostLink, address }) => `"${hostLink}" . ${address}`),
    },
    {
      name: `hairpin${suffix}`,
      type: `type ${addressType} . ${addressType}`,
      elements: places.map(({ address }) => `${address} . ${address}`),
    },
  ];
}

interface LocalPod {
  readonly attachment: Attachment;
  /** Undefined where the view does not know the pod. */
  readonly identity: number | undefined;
}

/** Where packets of each of our links go in one direction: to the chain that decides, or on. */
function directionMap(
  direction: Direction,
  pods: readonly LocalPod[],
  policies: ReadonlyMap<number, IdentityPolicy>,
  view: NodeView,
): {
  readonly map: NftMap;
  readonly chains: readonly NftChain[];
  readonly sets: readonly NftSet[];
} {
  const elements = new Map<string, string>();
  const chains = new Map<string, NftChain>();
  const sets: NftSet[] = [];
  const unknown = unknownPodChain(direction);
  chains.set(unknown.name, unknown);
  for (const { attachment, identity } of pods) {
    const link = `"${attachment.hostLink}"`;
    if (identity === undefined) {
      elements.set(link, `goto ${unknown.name}`);
      continue;
    }
    const policy = policies.get(identity);
    const compiled = policy === undefined ? undefined : chainFor(policy, direction);
    if (compiled === undefined) {
      elements.set(link, "return");
      continue;
    }
    elements.set(link, `goto ${policyChain(direction, identity)}`);
    if (chains.has(compiled.chain.name)) continue;
    chains.set(compiled.chain.name, compiled.chain);
    sets.push(...compiled.sets);
  }
  // What comes over the overlay has left its own node's egress chain, and what goes there meets ingress beyond it.
  const { encap } = view.settings;
  if (hasOverlay(encap)) elements.set(`"${overlayLink(encap)}"`, "return");
  return {
    map: { name: direction, type: "type ifname : verdict", elements },
    chains: [...chains.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    sets: sets.sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

/** Every address that has an identity; all others are outside, identity 0. */
function identityMap(
  family: IpFamily,
  workloads: readonly WorkloadView[],
  pods: readonly LocalPod[],
): NftMap {
  const { addressType, suffix } = nftFamily[family];
  const known = addressIndex(family, workloads);
  const differing = pods
    .flatMap(({ attachment: { addresses }, identity }) =>
      ofFamily(family, addresses).map((address) => ({
        address,
        mark: identityMark(identity ?? 0),
      })),
    )
    .filter(({ address, mark }) => known.get(address) !== mark);
  let elements = known;
  if (differing.length > 0) {
    const own = new Map(known);
    for (const { address, mark } of differing) own.set(address, mark);
    elements = sortedByAddress(own);
  }
  return { name: `identity${suffix}`, type: `type ${addressType} : mark`, elements };
}

function identityOf(
  attachment: Attachment,
  workloads: ReadonlyMap<string, WorkloadView>,
): number | undefined {
  const workload = workloads.get(`${attachment.namespace}/${attachment.name}`);
  if (workload === undefined) return undefined;
  // A runtime that gives no uid means whichever pod has the name.
  return attachment.uid === "" || attachment.uid === workload.uid ? workload.identity : undefined;
}

const otherAddresses = "*";

function sortedByAddress(elements: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const rank = (key: string): bigint => (key === otherAddresses ? -1n : parseIp(key).value);
  return new Map(
    [...elements]
      .map(([key, value]) => ({ key, value, rank: rank(key) }))
      .sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0))
      .map(({ key, value }) => [key, value]),
  );
}

const addressIndexes = {
  IPv4: new WeakMap<readonly WorkloadView[], ReadonlyMap<string, string>>(),
  IPv6: new WeakMap<readonly WorkloadView[], ReadonlyMap<string, string>>(),
};
const workloadIndexes = new WeakMap<readonly WorkloadView[], ReadonlyMap<string, WorkloadView>>();
const policyIndexes = new WeakMap<readonly IdentityPolicy[], ReadonlyMap<number, IdentityPolicy>>();

function addressIndex(
  family: IpFamily,
  workloads: readonly WorkloadView[],
): ReadonlyMap<string, string> {
  return remember(addressIndexes[family], workloads, () => {
    const elements = new Map([[otherAddresses, identityMark(0)]]);
    for (const { addresses, identity } of workloads) {
      for (const address of ofFamily(family, addresses))
        elements.set(address, identityMark(identity));
    }
    return sortedByAddress(elements);
  });
}

function workloadIndex(workloads: readonly WorkloadView[]): ReadonlyMap<string, WorkloadView> {
  return remember(
    workloadIndexes,
    workloads,
    () => new Map(workloads.map((each) => [`${each.namespace}/${each.name}`, each])),
  );
}

function policyIndex(policies: readonly IdentityPolicy[]): ReadonlyMap<number, IdentityPolicy> {
  return remember(
    policyIndexes,
    policies,
    () => new Map(policies.map((each) => [each.identity, each])),
  );
}

/** An index lives as long as the list it was made from: views share lists between changes. */
function remember<K extends object, V>(cache: WeakMap<K, V>, key: K, make: () => V): V {
  let value = cache.get(key);
  if (value === undefined) {
    value = make();
    cache.set(key, value);
  }
  return value;
}

function unknownPod(attachment: Attachment): Diagnostic {
  return {
    severity: "warning",
    code: "HEDDLE0301",
    where: `Pod ${attachment.namespace}/${attachment.name}`,
    message: `attached as ${attachment.hostLink} (uid ${attachment.uid}) but not in this node's view; it is isolated until it is`,
  };
}
