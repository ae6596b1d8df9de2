/**
 * Lowers NetworkPolicy objects to what each identity may do.
 *
 * Selectors are resolved here, once, against identities; what is left are numbers and prefixes. Cost: policies ×
 * identities, never × pods. Semantics are those of networking.k8s.io/v1: policies only ever add permissions, a pod is
 * isolated in a direction as soon as one policy of that direction selects it, and a connection needs the egress side
 * of its source and the ingress side of its destination.
 *
 * Decided where the specification leaves it open: an ipBlock also matches pods' addresses; a port name stands for the
 * number that the destination pod gives it, so it never matches outside pods. A block matches connections of its own
 * family only.
 */

import type {
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from "../../api/k8s/network-policy.ts";
import { cidrContains, familyOf, hostCidr, parseCidr } from "../../base/ip.ts";
import type {
  AllowRule,
  DirectionPolicy,
  IdentityPolicy,
  PeerMatch,
  PortMatch,
  PortRange,
} from "../../model/node-view.ts";
import { matchesSelector } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import { type PolicyEndpoint, policyEndpoints, portKey } from "./endpoints.ts";
import { type Identities, type Identity, identitiesOf } from "./identities.ts";

export interface CompiledPolicies {
  /** Identity of each pod, by `namespace/name`. */
  readonly identities: ReadonlyMap<string, number>;
  /** Sorted by identity; only identities that are isolated in some direction. */
  readonly policies: readonly IdentityPolicy[];
}

/** The same result for the same world, computed once. */
export function compilePolicies(world: World): CompiledPolicies {
  let compiled = remembered.get(world);
  if (compiled === undefined) {
    compiled = compile(world);
    remembered.set(world, compiled);
  }
  return compiled;
}

const remembered = new WeakMap<World, CompiledPolicies>();

type Direction = "ingress" | "egress";

function compile(world: World): CompiledPolicies {
  const policies = objectsOf<NetworkPolicy>(world, "NetworkPolicy");
  const endpoints = policyEndpoints(world);
  const identities = identitiesOf(endpoints, policies);
  const ingress = policies.filter((policy) => isolates(policy, "ingress"));
  const egress = policies.filter((policy) => isolates(policy, "egress"));
  const rulesOf = ruleCache(identities, endpoints);
  const compiled: IdentityPolicy[] = [];
  for (const identity of identities.all) {
    const inbound = directionPolicy(identity, ingress, "ingress", rulesOf);
    const outbound = directionPolicy(identity, egress, "egress", rulesOf);
    if (inbound === undefined && outbound === undefined) continue;
    compiled.push({
      identity: identity.number,
      ...(inbound === undefined ? {} : { ingress: inbound }),
      ...(outbound === undefined ? {} : { egress: outbound }),
    });
  }
  return { identities: identities.numbers, policies: compiled };
}

/** `policyTypes` where given; else always Ingress, and Egress where there is an egress section. */
function isolates(policy: NetworkPolicy, direction: Direction): boolean {
  const types = policy.spec.policyTypes;
  if (types !== undefined && types.length > 0) {
    return types.includes(direction === "ingress" ? "Ingress" : "Egress");
  }
  return direction === "ingress" || (policy.spec.egress?.length ?? 0) > 0;
}

function directionPolicy(
  identity: Identity,
  policies: readonly NetworkPolicy[],
  direction: Direction,
  rulesOf: RulesOf,
): DirectionPolicy | undefined {
  const selecting = policies.filter(
    (policy) =>
      namespaceOf(policy) === identity.example.namespace &&
      matchesSelector(identity.example.labels, policy.spec.podSelector),
  );
  if (selecting.length === 0) return undefined;
  return {
    isolatedBy: selecting.map(objectKey),
    allow: selecting.flatMap((policy) => rulesOf(policy, direction, identity.example)),
  };
}

type RulesOf = (
  policy: NetworkPolicy,
  direction: Direction,
  isolated: PolicyEndpoint,
) => readonly AllowRule[];

/** A policy's rules are the same for all whom it isolates, but for port names on ingress: resolve peers only once. */
function ruleCache(identities: Identities, endpoints: readonly PolicyEndpoint[]): RulesOf {
  const egress = new Map<NetworkPolicy, readonly AllowRule[]>();
  const peers = new Map<NetworkPolicy, readonly PeerMatch[]>();
  return (policy, direction, isolated) => {
    if (direction === "egress") {
      const known = egress.get(policy);
      if (known !== undefined) return known;
      const rules = (policy.spec.egress ?? []).flatMap((rule) =>
        egressRules(policy, rule, identities, endpoints),
      );
      egress.set(policy, rules);
      return rules;
    }
    const rules = policy.spec.ingress ?? [];
    const known = peers.get(policy);
    const matches =
      known ?? rules.map((rule) => resolvePeers(policy, rule.from ?? [], identities.all));
    if (known === undefined) peers.set(policy, matches);
    return rules.flatMap((rule, index) => {
      const ports = resolvePorts(rule.ports ?? [], isolated);
      const match = matches[index];
      if (match === undefined) return [];
      return allow(policy, match, ports);
    });
  };
}

/** Port names mean something else for each destination: one rule for the numbers, and one for each meaning. */
function egressRules(
  policy: NetworkPolicy,
  rule: NonNullable<NetworkPolicy["spec"]["egress"]>[number],
  identities: Identities,
  endpoints: readonly PolicyEndpoint[],
): readonly AllowRule[] {
  const { to = [], ports = [] } = rule;
  const peers = resolvePeers(policy, to, identities.all);
  const named = ports.filter((port) => typeof port.port === "string");
  if (named.length === 0) return allow(policy, peers, resolvePorts(ports));
  const numbered = ports.filter((port) => typeof port.port !== "string");
  const byMeaning = new Map<string, Meaning>();
  const meaningFor = (destination: PolicyEndpoint): Meaning => {
    const meaning = resolvePorts(named, destination);
    const key = JSON.stringify(meaning);
    const known = byMeaning.get(key) ?? { ports: meaning, identities: [], blocks: [] };
    byMeaning.set(key, known);
    return known;
  };
  for (const { number, example } of identities.all) {
    if (matchesPeers(policy, to, example)) meaningFor(example).identities.push(number);
  }
  // A block allows those of its addresses that are pods' and give the name a number: one by one, since blocks and
  // identities cannot be asked for together.
  for (const endpoint of endpoints) {
    if (peers.kind === "any") continue;
    for (const address of endpoint.addresses) {
      if (!inBlocks(peers, address)) continue;
      meaningFor(endpoint).blocks.push({ cidr: hostCidr(address), except: [] });
    }
  }
  return [
    ...(numbered.length === 0 ? [] : allow(policy, peers, resolvePorts(numbered))),
    ...[...byMeaning.values()].flatMap((meaning) =>
      allow(
        policy,
        { kind: "some", identities: meaning.identities, blocks: meaning.blocks },
        meaning.ports,
      ),
    ),
  ];
}

/** Destinations that give a rule's port names the same numbers. */
interface Meaning {
  readonly ports: PortMatch;
  readonly identities: number[];
  readonly blocks: Block[];
}

type Block = Extract<PeerMatch, { kind: "some" }>["blocks"][number];

function inBlocks(peers: { readonly blocks: readonly Block[] }, address: string): boolean {
  return peers.blocks.some(
    ({ cidr, except }) =>
      cidrContains(cidr, address) && !except.some((hole) => cidrContains(hole, address)),
  );
}

/** No rule at all where nothing can match. */
function allow(policy: NetworkPolicy, peers: PeerMatch, ports: PortMatch): readonly AllowRule[] {
  if (peers.kind === "some" && peers.identities.length + peers.blocks.length === 0) return [];
  if (ports.kind === "some" && ports.ports.length === 0) return [];
  return [{ policy: objectKey(policy), peers, ports }];
}

function resolvePeers(
  policy: NetworkPolicy,
  peers: readonly NetworkPolicyPeer[],
  identities: readonly Identity[],
): PeerMatch {
  if (peers.length === 0) return { kind: "any" };
  return {
    kind: "some",
    identities: identities
      .filter(({ example }) => matchesPeers(policy, peers, example))
      .map(({ number }) => number),
    blocks: peers.flatMap(({ ipBlock }) => {
      if (ipBlock === undefined) return [];
      const family = familyOf(ipBlock.cidr);
      const except = (ipBlock.except ?? []).filter((text) => familyOf(text) === family);
      return [{ cidr: parseCidr(ipBlock.cidr), except: except.map(parseCidr) }];
    }),
  };
}

/** True where the peers are everybody, or one of them selects the pod by labels; blocks are matched by address. */
function matchesPeers(
  policy: NetworkPolicy,
  peers: readonly NetworkPolicyPeer[],
  endpoint: PolicyEndpoint,
): boolean {
  return peers.length === 0 || peers.some((peer) => matchesPeer(policy, peer, endpoint));
}

function matchesPeer(
  policy: NetworkPolicy,
  peer: NetworkPolicyPeer,
  endpoint: PolicyEndpoint,
): boolean {
  if (peer.podSelector === undefined && peer.namespaceSelector === undefined) return false;
  const inNamespace =
    peer.namespaceSelector === undefined
      ? endpoint.namespace === namespaceOf(policy)
      : matchesSelector(endpoint.namespaceLabels, peer.namespaceSelector);
  return inNamespace && matchesSelector(endpoint.labels, peer.podSelector ?? {});
}

/** `destination` gives meaning to port names; a name that it does not have matches nothing. */
function resolvePorts(
  ports: readonly NetworkPolicyPort[],
  destination?: PolicyEndpoint,
): PortMatch {
  if (ports.length === 0) return { kind: "any" };
  const ranges = ports.flatMap((port): readonly PortRange[] => {
    const protocol = port.protocol ?? "TCP";
    if (port.port === undefined) return [{ protocol }];
    if (typeof port.port === "number") {
      return [{ protocol, first: port.port, last: port.endPort ?? port.port }];
    }
    const number = destination?.namedPorts.get(portKey(protocol, port.port));
    return number === undefined ? [] : [{ protocol, first: number, last: number }];
  });
  return { kind: "some", ports: ranges };
}
