/**
 * The steps that lead from what the kernel has to what it is to have.
 *
 * Policy and admission come first, in one nft transaction, so that no link ever exists that they do not cover; what
 * is no longer wanted goes last. What is right already is left alone: planning from a state to itself gives no step.
 * An observed state without a ruleset means that there is no table, or one of which nothing is known: it is replaced.
 */

import { renderCidr } from "../../base/ip.ts";
import { linkPrefix } from "../../model/names.ts";
import type {
  AddressSpec,
  FastPathSpec,
  ForwardingSpec,
  LinkSpec,
  NeighbourSpec,
  NodeState,
  Plan,
  RouteSpec,
  RuleSpec,
  Step,
  WireguardPeerSpec,
} from "../../model/node-state.ts";
import { renderRuleset } from "../../model/ruleset-text.ts";
import { renderRulesetChange } from "./ruleset-change.ts";

export function planNode(wanted: NodeState, observed: NodeState): Plan {
  const links = difference(wanted.links, observed.links, (link) => link.name, sameLink);
  const addresses = difference(wanted.addresses, observed.addresses, addressKey, () => true);
  const routes = difference(wanted.routes, observed.routes, routeKey, sameRoute);
  const rules = difference(wanted.rules ?? [], observed.rules ?? [], ruleKey, () => true);
  const neighbours = difference(
    wanted.neighbours,
    observed.neighbours,
    neighbourKey,
    (a, b) => a.mac === b.mac,
  );
  const forwarding = difference(wanted.forwarding, observed.forwarding, forwardingKey, () => true);
  const fastPath = difference(
    wanted.fastPath ?? [],
    observed.fastPath ?? [],
    (each) => each.link,
    sameFastPath,
  );
  // What stands on a link goes with it; naming it again would only ask the kernel to delete what is absent.
  const gone = new Set(links.removed.map((link) => link.name));
  const stays = ({ link }: { readonly link?: string }) => link === undefined || !gone.has(link);
  return [
    ...wanted.sysctls
      .filter(({ key, value }) => !observed.sysctls.some((o) => o.key === key && o.value === value))
      .map((sysctl): Step => ({ kind: "sysctl", sysctl })),
    // Before the rules: what they no longer know must not pass beside them.
    ...fastPath.removed.map((each): Step => ({ kind: "fast-path-delete", fastPath: each })),
    ...rulesetSteps(wanted, observed),
    ...links.put.map((link): Step => ({ kind: "link-add", link })),
    ...onChanged(addresses.added, wanted.addresses, links.changed).map(
      (address): Step => ({ kind: "address-add", address }),
    ),
    ...onChanged(neighbours.put, wanted.neighbours, links.changed).map(
      (neighbour): Step => ({ kind: "neighbour-replace", neighbour }),
    ),
    ...onChanged(forwarding.put, wanted.forwarding, links.changed).map(
      (entry): Step => ({ kind: "forwarding-replace", forwarding: entry }),
    ),
    ...onChanged(routes.put, wanted.routes, links.changed).map(
      (route): Step => ({ kind: "route-replace", route }),
    ),
    ...rules.added.map((rule): Step => ({ kind: "rule-add", rule })),
    ...onChanged(fastPath.put, wanted.fastPath ?? [], links.changed).map(
      (each): Step => ({ kind: "fast-path-put", fastPath: each }),
    ),
    ...rules.removed.map((rule): Step => ({ kind: "rule-delete", rule })),
    ...routes.removed.filter(stays).map((route): Step => ({ kind: "route-delete", route })),
    ...neighbours.removed
      .filter(stays)
      .map((neighbour): Step => ({ kind: "neighbour-delete", neighbour })),
    ...forwarding.removed
      .filter(stays)
      .map((entry): Step => ({ kind: "forwarding-delete", forwarding: entry })),
    ...addresses.removed
      .filter((address) => stays(address) && address.link.startsWith(linkPrefix))
      .map((address): Step => ({ kind: "address-delete", address })),
    ...links.removed.map((link): Step => ({ kind: "link-delete", name: link.name })),
  ];
}

function rulesetSteps(
  { ruleset: wanted }: NodeState,
  { ruleset: observed }: NodeState,
): readonly Step[] {
  if (wanted === undefined) return [];
  if (observed === undefined) {
    return [{ kind: "nft", text: renderRuleset(wanted), leadsTo: wanted, isWhole: true }];
  }
  const text = renderRulesetChange(observed, wanted);
  return text === undefined ? [] : [{ kind: "nft", text, leadsTo: wanted }];
}

interface Difference<T> {
  readonly added: readonly T[];
  /** There under the same key, but not as wanted. */
  readonly changed: readonly T[];
  /** Added and changed. */
  readonly put: readonly T[];
  readonly removed: readonly T[];
}

function difference<T>(
  wanted: readonly T[],
  observed: readonly T[],
  keyOf: (each: T) => string,
  same: (wanted: T, observed: T) => boolean,
): Difference<T> {
  const there = new Map(observed.map((each) => [keyOf(each), each]));
  const added: T[] = [];
  const changed: T[] = [];
  for (const each of wanted) {
    const key = keyOf(each);
    const old = there.get(key);
    if (old === undefined) added.push(each);
    else if (old !== each && !same(each, old)) changed.push(each);
    there.delete(key);
  }
  return { added, changed, put: [...added, ...changed], removed: [...there.values()] };
}

/** A driver repairs a link in place where it can, else makes it anew, and what stood on it is lost: put that again. */
function onChanged<T extends { readonly link?: string }>(
  put: readonly T[],
  wanted: readonly T[],
  changed: readonly LinkSpec[],
): readonly T[] {
  if (changed.length === 0) return put;
  const names = new Set(changed.map((link) => link.name));
  const again = wanted.filter(({ link }) => link !== undefined && names.has(link));
  return [...new Set([...put, ...again])];
}

/**
 * What a driver cannot tell of a pod's end (a link that it did not make itself, or left half made) it reports as
 * empty, which differs from what is wanted: the link is looked at again and completed, once after each restart.
 */
function sameLink(wanted: LinkSpec, observed: LinkSpec): boolean {
  if (wanted.kind === "veth") {
    return (
      observed.kind === "veth" &&
      observed.mtu === wanted.mtu &&
      // What is not asked for may be another plugin's, set after us.
      (wanted.limit === undefined ||
        wanted.limit.bitsPerSecond === observed.limit?.bitsPerSecond) &&
      (wanted.routesLoopback === undefined || observed.routesLoopback === true) &&
      observed.peer.netns === wanted.peer.netns &&
      observed.peer.ifName === wanted.peer.ifName &&
      observed.peer.mac === wanted.peer.mac &&
      observed.peer.addresses.join() === wanted.peer.addresses.join()
    );
  }
  if (wanted.kind === "wireguard") {
    return (
      observed.kind === "wireguard" &&
      observed.hasNodeKey &&
      observed.looseSources === wanted.looseSources &&
      observed.port === wanted.port &&
      observed.mtu === wanted.mtu &&
      observed.peers.length === wanted.peers.length &&
      wanted.peers.every((peer, index) => samePeer(peer, observed.peers[index]))
    );
  }
  return (
    observed.kind === "vxlan" &&
    observed.vni === wanted.vni &&
    observed.port === wanted.port &&
    observed.local === wanted.local &&
    observed.mac === wanted.mac &&
    observed.mtu === wanted.mtu &&
    observed.looseSources === wanted.looseSources
  );
}

function samePeer(wanted: WireguardPeerSpec, observed: WireguardPeerSpec | undefined): boolean {
  return (
    observed !== undefined &&
    observed.publicKey === wanted.publicKey &&
    observed.endpoint === wanted.endpoint &&
    observed.allowed.join() === wanted.allowed.join()
  );
}

function sameFastPath(wanted: FastPathSpec, observed: FastPathSpec): boolean {
  if (wanted.from === "nodes" || observed.from === "nodes") return wanted.from === observed.from;
  return (
    wanted.mtu === observed.mtu &&
    wanted.mac === observed.mac &&
    wanted.isPaced === observed.isPaced &&
    wanted.addresses.join() === observed.addresses.join()
  );
}

/** A kernel answers with the link that it found for a next hop; where none was asked for, any will do. */
function sameRoute(wanted: RouteSpec, observed: RouteSpec): boolean {
  return (
    (wanted.link === undefined || wanted.link === observed.link) &&
    wanted.via === observed.via &&
    (wanted.blackhole ?? false) === (observed.blackhole ?? false) &&
    wanted.mtu === observed.mtu
  );
}

function addressKey({ link, address, prefixLength }: AddressSpec): string {
  return `${link} ${address}/${prefixLength}`;
}

function routeKey({ destination, table }: RouteSpec): string {
  return `${table ?? "main"} ${renderCidr(destination)}`;
}

function ruleKey({ source, table }: RuleSpec): string {
  return `${renderCidr(source)} ${table}`;
}

function neighbourKey({ link, address }: NeighbourSpec): string {
  return `${link} ${address}`;
}

function forwardingKey({ link, mac, remote }: ForwardingSpec): string {
  return `${link} ${mac} ${remote}`;
}
