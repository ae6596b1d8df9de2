/**
 * Lowers what the policies say of one identity, in one direction, to a chain of at most eight rules and its sets.
 *
 * The number of rules is fixed: each asks one set, and all that churns (peers, blocks, ports) is elements. `return`
 * means allowed by this direction; what matches nothing is logged and dropped by the last rule, whose comment names the
 * policies that isolate. Peers are compared by the identity marks that the calling chain has set: source in the packet
 * mark, destination in the connection mark.
 *
 * Only identities that have pods on this node get chains, so a node's ruleset grows with its own pods.
 */

import { familyOf, type IpFamily, ipFamilies } from "../../base/ip.ts";
import type { NftChain, NftSet } from "../../model/node-state.ts";
import type { AllowRule, DirectionPolicy, IdentityPolicy } from "../../model/node-view.ts";
import { nftFamily } from "./families.ts";
import {
  type AddressRange,
  blockRanges,
  mergeRanges,
  partition,
  renderAddresses,
  renderPorts,
} from "./intervals.ts";
import { type Direction, identityMark, logAndDrop, policyChain } from "./names.ts";

export interface PolicyChain {
  readonly chain: NftChain;
  readonly sets: readonly NftSet[];
}

/** Undefined where the identity is not isolated in the direction. The same chain for the same policy. */
export function chainFor(policy: IdentityPolicy, direction: Direction): PolicyChain | undefined {
  const rules = policy[direction];
  if (rules === undefined) return undefined;
  let chain = remembered.get(rules);
  if (chain === undefined) {
    chain = compile(policyChain(direction, policy.identity), direction, policy.identity, rules);
    remembered.set(rules, chain);
  }
  return chain;
}

const remembered = new WeakMap<DirectionPolicy, PolicyChain>();

/** For attached pods that the view does not know: nothing is allowed. */
export function unknownPodChain(direction: Direction): NftChain {
  const rule = logAndDrop({ kind: "policy", direction });
  return { name: policyChain(direction, undefined), rules: [rule] };
}

function compile(
  name: string,
  direction: Direction,
  identity: number,
  policy: DirectionPolicy,
): PolicyChain {
  const peerMark = direction === "ingress" ? "meta mark" : "ct mark";
  const peerAddress = direction === "ingress" ? "saddr" : "daddr";
  const port = "meta l4proto . th dport";
  const { allow } = policy;
  const drop = `${logAndDrop({ kind: "policy", direction, identity })} comment "${blame(policy)}"`;
  if (allow.some((rule) => rule.peers.kind === "any" && rule.ports.kind === "any")) {
    return { chain: { name, rules: ["return"] }, sets: [] };
  }
  const sets: NftSet[] = [];
  const rules: string[] = [];
  const add = (match: string, set: NftSet): void => {
    if (set.elements.length === 0) return;
    sets.push(set);
    rules.push(`${match} @${set.name} return`);
  };
  add(peerMark, peers(`${name}-peers`, allow));
  add(`${peerMark} . ${port}`, peerPorts(`${name}-peer-ports`, allow));
  add(port, anyPeerPorts(`${name}-ports`, allow));
  for (const family of ipFamilies) {
    const { keyword, suffix } = nftFamily[family];
    const address = `${keyword} ${peerAddress}`;
    add(address, blocks(`${name}-blocks${suffix}`, allow, family));
    add(`${address} . ${port}`, blockPorts(`${name}-block-ports${suffix}`, allow, family));
  }
  rules.push(drop);
  return { chain: { name, rules }, sets };
}

/** Identities that may use every port. */
function peers(name: string, rules: readonly AllowRule[]): NftSet {
  const numbers = new Set<number>();
  for (const { peers: match, ports } of rules) {
    if (match.kind === "some" && ports.kind === "any") {
      for (const number of match.identities) numbers.add(number);
    }
  }
  return { name, type: "type mark", elements: inOrder(numbers).map(identityMark) };
}

/** Identities that may use some ports: one element for each merged range, so that none overlap. */
function peerPorts(name: string, rules: readonly AllowRule[]): NftSet {
  const ports = new Map<number, Extract<AllowRule["ports"], { kind: "some" }>["ports"][number][]>();
  for (const { peers: match, ports: some } of rules) {
    if (match.kind !== "some" || some.kind !== "some") continue;
    for (const number of match.identities) {
      const list = ports.get(number);
      if (list === undefined) ports.set(number, [...some.ports]);
      else list.push(...some.ports);
    }
  }
  return {
    name,
    type: "type mark . inet_proto . inet_service",
    flags: ["interval"],
    elements: inOrder(ports.keys()).flatMap((number) =>
      renderPorts(ports.get(number) ?? []).map((port) => `${identityMark(number)} . ${port}`),
    ),
  };
}

/** Ports that everybody may use, from outside as well. */
function anyPeerPorts(name: string, rules: readonly AllowRule[]): NftSet {
  const ports = rules.flatMap((rule) =>
    rule.peers.kind === "any" && rule.ports.kind === "some" ? rule.ports.ports : [],
  );
  return {
    name,
    type: "type inet_proto . inet_service",
    flags: ["interval"],
    elements: renderPorts(ports),
  };
}

/** Addresses that may use every port. */
function blocks(name: string, rules: readonly AllowRule[], family: IpFamily): NftSet {
  const ranges = rules.flatMap((rule) =>
    rule.ports.kind === "any" ? addressesOf(rule, family) : [],
  );
  return {
    name,
    type: `type ${nftFamily[family].addressType}`,
    flags: ["interval"],
    elements: mergeRanges(ranges).map((range) => renderAddresses(range, family)),
  };
}

/** Addresses that may use some ports: blocks of different rules may overlap, so they are cut at every boundary. */
function blockPorts(name: string, rules: readonly AllowRule[], family: IpFamily): NftSet {
  const ranges = rules.flatMap((rule) => {
    const { ports } = rule;
    if (ports.kind === "any") return [];
    return mergeRanges(addressesOf(rule, family)).map((range) => ({ range, value: ports.ports }));
  });
  // Joined again where neighbours allow the same ports.
  const byPorts = new Map<string, AddressRange[]>();
  for (const { range, values } of partition(ranges)) {
    const key = renderPorts([...values].flat()).join("\n");
    const list = byPorts.get(key);
    if (list === undefined) byPorts.set(key, [range]);
    else list.push(range);
  }
  const elements = [...byPorts].flatMap(([key, parts]) =>
    mergeRanges(parts).flatMap((range) =>
      key
        .split("\n")
        .map((port) => ({ range, text: `${renderAddresses(range, family)} . ${port}` })),
    ),
  );
  return {
    name,
    type: `type ${nftFamily[family].addressType} . inet_proto . inet_service`,
    flags: ["interval"],
    elements: elements
      .sort((a, b) => (a.range.first < b.range.first ? -1 : a.range.first > b.range.first ? 1 : 0))
      .map(({ text }) => text),
  };
}

function addressesOf(rule: AllowRule, family: IpFamily): readonly AddressRange[] {
  if (rule.peers.kind === "any") return [];
  return rule.peers.blocks
    .filter(({ cidr }) => familyOf(cidr.address) === family)
    .flatMap(blockRanges);
}

/** Which policies isolate, within the 127 characters that nft allows a comment. */
function blame(policy: DirectionPolicy): string {
  const text = `isolated by ${policy.isolatedBy.join(", ")}`;
  return text.length <= 120 ? text : `${text.slice(0, 117)}...`;
}

function inOrder(numbers: Iterable<number>): readonly number[] {
  return [...numbers].sort((a, b) => a - b);
}
