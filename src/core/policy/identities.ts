/**
 * Gives pods that no policy can tell apart one number.
 *
 * Two pods have the same identity when they agree in everything that some policy of this world asks about: the values
 * of the labels that selectors name, their namespace's such labels, the numbers behind port names, and their namespace
 * itself where it has policies. Pod churn therefore changes which address has which identity, but not the identities,
 * and the size of the policy is independent of the number of pods.
 *
 * Numbers are a hash of that description, so they are the same on every node and survive other pods' coming and
 * going; where two descriptions collide the later one (in sorted order) takes the next free number.
 */

import type { NetworkPolicy, NetworkPolicyPeer } from "../../api/k8s/network-policy.ts";
import type { LabelSelector } from "../../api/resource.ts";
import { hashText } from "../../base/hash.ts";
import type { Labels } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { compareText } from "../registry/world.ts";
import { type PolicyEndpoint, portKey } from "./endpoints.ts";

/** Identities are 1..2^24-1; 0 is everything that is not a pod. */
const identityLimit: number = 2 ** 24;

export interface Identity {
  readonly number: number;
  /** Any pod of the identity: all answer every policy alike. */
  readonly example: PolicyEndpoint;
}

export interface Identities {
  /** Sorted by number. */
  readonly all: readonly Identity[];
  /** By `namespace/name` of the pod. */
  readonly numbers: ReadonlyMap<string, number>;
}

export function identitiesOf(
  endpoints: readonly PolicyEndpoint[],
  policies: readonly NetworkPolicy[],
): Identities {
  const asked = whatPoliciesAsk(policies);
  const members = new Map<string, PolicyEndpoint[]>();
  for (const endpoint of endpoints) {
    const key = describe(endpoint, asked);
    const list = members.get(key);
    if (list === undefined) members.set(key, [endpoint]);
    else list.push(endpoint);
  }
  const taken = new Map<number, Identity>();
  const numbers = new Map<string, number>();
  for (const [key, pods] of [...members].sort(([a], [b]) => compareText(a, b))) {
    const [example] = pods;
    if (example === undefined) continue;
    const number = freeNumber(key, taken);
    taken.set(number, { number, example });
    for (const pod of pods) numbers.set(pod.pod, number);
  }
  return { all: [...taken.values()].sort((a, b) => a.number - b.number), numbers };
}

function freeNumber(key: string, taken: ReadonlyMap<number, unknown>): number {
  let number = (hashText(key) % (identityLimit - 1)) + 1;
  while (taken.has(number)) number = (number % (identityLimit - 1)) + 1;
  return number;
}

interface Asked {
  readonly podLabels: readonly string[];
  readonly namespaceLabels: readonly string[];
  readonly namedPorts: readonly string[];
  readonly namespaces: ReadonlySet<string>;
}

function whatPoliciesAsk(policies: readonly NetworkPolicy[]): Asked {
  const podLabels = new Set<string>();
  const namespaceLabels = new Set<string>();
  const namedPorts = new Set<string>();
  const namespaces = new Set<string>();
  for (const policy of policies) {
    namespaces.add(namespaceOf(policy));
    addKeys(podLabels, policy.spec.podSelector);
    const rules = [
      ...(policy.spec.ingress ?? []).map((rule) => ({ peers: rule.from, ports: rule.ports })),
      ...(policy.spec.egress ?? []).map((rule) => ({ peers: rule.to, ports: rule.ports })),
    ];
    for (const rule of rules) {
      for (const peer of rule.peers ?? []) addPeerKeys(podLabels, namespaceLabels, peer);
      for (const port of rule.ports ?? []) {
        if (typeof port.port === "string") {
          namedPorts.add(portKey(port.protocol ?? "TCP", port.port));
        }
      }
    }
  }
  return {
    podLabels: [...podLabels].sort(),
    namespaceLabels: [...namespaceLabels].sort(),
    namedPorts: [...namedPorts].sort(),
    namespaces,
  };
}

function addPeerKeys(
  podLabels: Set<string>,
  namespaceLabels: Set<string>,
  peer: NetworkPolicyPeer,
): void {
  addKeys(podLabels, peer.podSelector);
  addKeys(namespaceLabels, peer.namespaceSelector);
}

function addKeys(keys: Set<string>, selector: LabelSelector | undefined): void {
  for (const key of Object.keys(selector?.matchLabels ?? {})) keys.add(key);
  for (const requirement of selector?.matchExpressions ?? []) keys.add(requirement.key);
}

/** One text for each set of answers; equal text, equal identity. */
function describe(endpoint: PolicyEndpoint, asked: Asked): string {
  return JSON.stringify([
    asked.namespaces.has(endpoint.namespace) ? endpoint.namespace : "",
    valuesOf(endpoint.namespaceLabels, asked.namespaceLabels),
    valuesOf(endpoint.labels, asked.podLabels),
    asked.namedPorts.flatMap((key) => {
      const number = endpoint.namedPorts.get(key);
      return number === undefined ? [] : [key, number];
    }),
  ]);
}

function valuesOf(labels: Labels, keys: readonly string[]): readonly string[] {
  return keys.flatMap((key) => {
    const value = labels[key];
    return value === undefined ? [] : [key, value];
  });
}
