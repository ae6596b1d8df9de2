/**
 * What does not agree between the three places that say who has which address: the Pod objects, the records of the
 * nodes' agents, and the claims of address blocks.
 *
 * A function of one look at all of them, which were not taken at one moment: whoever acts on a finding looks again
 * and takes only what is found twice. What a node's agent does not answer about is not judged.
 */

import type { AddressBlock } from "../../api/heddle/v1.ts";
import type { Node, Pod } from "../../api/k8s/core.ts";
import { cidrContains } from "../../base/ip.ts";
import { networkSettings } from "../registry/settings.ts";
import { addressesOf, namespaceOf } from "../registry/workloads.ts";
import { objectNamed, objectsOf, type World } from "../registry/world.ts";
import { claimants, claimedBy } from "./claims.ts";

/** What one node's agent says of itself. */
export interface NodeRecords {
  readonly node: string;
  readonly attachments: readonly RecordedAttachment[];
}

export interface RecordedAttachment {
  /** Name of the link on the host, which names the record. */
  readonly link: string;
  /** `namespace/name`. */
  readonly pod: string;
  readonly uid: string;
  readonly addresses: readonly string[];
}

export type Finding =
  /** A node's agent keeps addresses for a pod that is no more. */
  | {
      readonly kind: "leaked-record";
      readonly node: string;
      readonly link: string;
      readonly pod: string;
      readonly addresses: readonly string[];
    }
  /** A Pod object shows an address that its node's agent did not give it. */
  | { readonly kind: "leaked-pod-address"; readonly pod: string; readonly address: string }
  /** A node that is gone holds parts of a block. */
  | { readonly kind: "block-of-gone-node"; readonly block: string; readonly node: string }
  /** Two attached pods have one address. `pod` is the one that should not. */
  | {
      readonly kind: "double-use";
      readonly address: string;
      readonly pod: string;
      readonly node: string;
      readonly keeper: string;
    };

/** In the order of the list above, each sorted by its text. */
export function checkAddresses(world: World, records: readonly NodeRecords[]): readonly Finding[] {
  const doubles = doubleUses(world, records);
  return [
    ...leakedRecords(world, records),
    ...leakedPodAddresses(world, records),
    ...blocksOfGoneNodes(world),
    ...doubles,
  ];
}

export function renderFinding(finding: Finding): string {
  switch (finding.kind) {
    case "leaked-record":
      return `leaked record: ${finding.node} keeps ${finding.addresses.join(", ")} (link ${finding.link}) for pod ${finding.pod}, which is gone`;
    case "leaked-pod-address":
      return `leaked Pod address: Pod ${finding.pod} shows ${finding.address}, which its node has not given it`;
    case "block-of-gone-node":
      return `block of a node that is gone: ${finding.node} holds parts of AddressBlock ${finding.block}`;
    case "double-use":
      return `double use: ${finding.address} belongs to pod ${finding.keeper}, and pod ${finding.pod} on ${finding.node} has it, too`;
  }
}

function leakedRecords(world: World, records: readonly NodeRecords[]): readonly Finding[] {
  return sorted(
    records.flatMap(({ node, attachments }) =>
      attachments.flatMap(({ link, pod, uid, addresses }): readonly Finding[] =>
        isThere(world, pod, uid, node)
          ? []
          : [{ kind: "leaked-record", node, link, pod, addresses }],
      ),
    ),
  );
}

function isThere(world: World, pod: string, uid: string, node: string): boolean {
  const [namespace = "", name = ""] = pod.split("/");
  const found = objectNamed<Pod>(world, "Pod", namespace, name);
  if (found === undefined || found.spec.nodeName !== node) return false;
  return uid === "" || found.metadata.uid === uid;
}

function leakedPodAddresses(world: World, records: readonly NodeRecords[]): readonly Finding[] {
  const { pools } = networkSettings(world);
  const byNode = new Map(records.map((each) => [each.node, each.attachments]));
  const nodes = new Set(objectsOf<Node>(world, "Node").map(({ metadata }) => metadata.name));
  const found = objectsOf<Pod>(world, "Pod").flatMap((pod): readonly Finding[] => {
    const node = pod.spec.nodeName ?? "";
    const attachments = nodes.has(node) ? byNode.get(node) : [];
    if (attachments === undefined || pod.spec.hostNetwork === true) return [];
    const name = `${namespaceOf(pod)}/${pod.metadata.name}`;
    const given = attachments
      .filter((each) => each.pod === name && ["", pod.metadata.uid].includes(each.uid))
      .flatMap((each) => each.addresses);
    return addressesOf(pod)
      .filter((address) => pools.some(({ cidr }) => cidrContains(cidr, address)))
      .filter((address) => !given.includes(address))
      .map((address) => ({ kind: "leaked-pod-address", pod: name, address }));
  });
  return sorted(found);
}

function blocksOfGoneNodes(world: World): readonly Finding[] {
  const found = objectsOf<AddressBlock>(world, "AddressBlock").flatMap((block) =>
    [...new Set([block.spec.node, ...claimants(block)])]
      .filter((node) => objectNamed(world, "Node", "", node) === undefined)
      .map((node): Finding => ({ kind: "block-of-gone-node", block: block.metadata.name, node })),
  );
  return sorted(found);
}

/** Of those that have one address, the one whose node holds it keeps it; where none does, the first by name. */
function doubleUses(world: World, records: readonly NodeRecords[]): readonly Finding[] {
  const users = new Map<string, { readonly pod: string; readonly node: string }[]>();
  for (const { node, attachments } of records) {
    for (const { pod, uid, addresses } of attachments) {
      if (!isThere(world, pod, uid, node)) continue; // leaked, and told as such
      for (const address of addresses) {
        const list = users.get(address) ?? [];
        users.set(address, [...list, { pod, node }]);
      }
    }
  }
  const blocks = objectsOf<AddressBlock>(world, "AddressBlock");
  const found = [...users].flatMap(([address, all]): readonly Finding[] => {
    const ordered = [...all].sort((a, b) => (a.pod < b.pod ? -1 : 1));
    const keeper = ordered.find(({ node }) => holds(blocks, node, address)) ?? ordered[0];
    if (keeper === undefined) return [];
    return ordered
      .filter((each) => each !== keeper && each.pod !== keeper.pod)
      .map(({ pod, node }) => ({ kind: "double-use", address, pod, node, keeper: keeper.pod }));
  });
  return sorted(found);
}

function holds(blocks: readonly AddressBlock[], node: string, address: string): boolean {
  return blocks.some((block) => claimedBy(block, node).some((part) => cidrContains(part, address)));
}

function sorted(findings: readonly Finding[]): readonly Finding[] {
  return [...findings].sort((a, b) => (renderFinding(a) < renderFinding(b) ? -1 : 1));
}
