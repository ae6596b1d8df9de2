/**
 * Whether NetworkPolicy lets one connection through, and why: the specification's sentences, in its order.
 *
 * The oracle for everything faster. It shares no code with the compile path (not even selectors), precomputes
 * nothing and asks every policy for every question, so that it can be read beside the text of
 * networking.k8s.io/v1 NetworkPolicy; quoted comments are that text. Also what `explain` answers from.
 */

import type { Namespace, Node, Pod } from "../../api/k8s/core.ts";
import type {
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from "../../api/k8s/network-policy.ts";
import type { LabelSelector } from "../../api/resource.ts";
import { type IpFamily, parseIp } from "../../base/ip.ts";
import { nodeDnsPod } from "../registry/workloads.ts";
import type { World } from "../registry/world.ts";
import type { TransportProtocol } from "./interpret.ts";

/**
 * A pod by name, or an address: outside, a node's, or the address of a pod, which is then that pod. A pod is at its
 * address of the family that the connection is of; where nothing says which, at its primary one.
 */
export type ConnectionEnd =
  | {
      readonly kind: "pod";
      readonly namespace: string;
      readonly name: string;
      readonly family?: IpFamily;
    }
  | { readonly kind: "address"; readonly address: string };

export interface PolicyEvaluation {
  readonly verdict: "allow" | "deny";
  /** What decided without asking any policy: a pod reaching itself, or a node its own pod. */
  readonly exempt?: "self" | "own-node";
  readonly egress: DirectionEvaluation;
  readonly ingress: DirectionEvaluation;
}

export interface DirectionEvaluation {
  /** `namespace/name` of the policies that isolate the pod in this direction; empty: not isolated. */
  readonly isolatedBy: readonly string[];
  /** The first rule that allows: policy, and index among its rules of this direction. */
  readonly allowedBy?: { readonly policy: string; readonly rule: number };
}

/** `port` is the destination pod's own, after any Service; it is not asked for ICMP. */
export function evaluatePolicy(
  world: World,
  from: ConnectionEnd,
  to: ConnectionEnd,
  protocol: TransportProtocol,
  port: number,
): PolicyEvaluation {
  const source = resolveEnd(world, from);
  const destination = resolveEnd(world, to);
  const egress: DirectionEvaluation =
    source.pod === undefined
      ? { isolatedBy: [] }
      : evaluateDirection(world, "Egress", source.pod, destination, destination, protocol, port);
  const ingress: DirectionEvaluation =
    destination.pod === undefined
      ? { isolatedBy: [] }
      : evaluateDirection(world, "Ingress", destination.pod, source, destination, protocol, port);
  const exempt = exemption(world, source, destination);
  const allowed = (direction: DirectionEvaluation) =>
    direction.isolatedBy.length === 0 || direction.allowedBy !== undefined;
  return {
    // "For a connection from a source pod to a destination pod to be allowed, both the egress policy on the source
    // pod and the ingress policy on the destination pod need to allow the connection."
    verdict: exempt !== undefined || (allowed(egress) && allowed(ingress)) ? "allow" : "deny",
    ...(exempt === undefined ? {} : { exempt }),
    egress,
    ingress,
  };
}

/** Who an end is. */
export interface ResolvedEnd {
  readonly address: string | undefined;
  readonly pod?: Pod;
}

export function resolveEnd(world: World, end: ConnectionEnd): ResolvedEnd {
  for (const pod of allPods(world)) {
    const isIt =
      end.kind === "pod"
        ? pod.metadata.namespace === end.namespace && pod.metadata.name === end.name
        : addressesOf(pod).some((address) => bitsOf(address) === bitsOf(end.address));
    if (!isIt) continue;
    const [primary] = addressesOf(pod);
    const { family } = end.kind === "pod" ? end : {};
    const ofFamily = addressesOf(pod).find(
      (address) => address.includes(":") === (family === "IPv6"),
    );
    const address = family === undefined ? primary : ofFamily;
    return { address: end.kind === "address" ? end.address : address, pod };
  }
  return { address: end.kind === "address" ? end.address : undefined };
}

/** `podIPs` "must have podIP as its first"; an older writer sets podIP alone. */
function addressesOf(pod: Pod): readonly string[] {
  const { podIP, podIPs = [] } = pod.status ?? {};
  return podIPs.length > 0 ? podIPs.map(({ ip }) => ip) : podIP === undefined ? [] : [podIP];
}

/** Pods that policies are about: with a network of their own, and not ended; and the nodes' DNS server. */
function allPods(world: World): readonly Pod[] {
  const pods = [...(world.objects.get("Pod")?.values() ?? [])] as Pod[]; // The kind says so.
  return [
    ...pods.filter(
      (pod) =>
        pod.spec.hostNetwork !== true &&
        pod.status?.phase !== "Succeeded" &&
        pod.status?.phase !== "Failed",
    ),
    nodeDnsPod,
  ];
}

/** "A Pod cannot block access to itself"; "traffic to and from the node where a Pod is running is always allowed". */
function exemption(
  world: World,
  source: ResolvedEnd,
  destination: ResolvedEnd,
): "self" | "own-node" | undefined {
  if (source.pod !== undefined && source.pod === destination.pod) return "self";
  const nodeName = destination.pod?.spec.nodeName;
  if (source.pod !== undefined || nodeName === undefined) return undefined;
  const node = world.objects.get("Node")?.get(nodeName) as Node | undefined; // The kind says so.
  const isOwn = node?.status?.addresses?.some(({ address }) => address === source.address);
  return isOwn === true ? "own-node" : undefined;
}

/** `peer` is the other end; `destination` is whose ports names stand for. */
function evaluateDirection(
  world: World,
  direction: "Ingress" | "Egress",
  isolated: Pod,
  peer: ResolvedEnd,
  destination: ResolvedEnd,
  protocol: TransportProtocol,
  port: number,
): DirectionEvaluation {
  if (isolated === nodeDnsPod) return { isolatedBy: [] }; // A part of the node.
  const policies = [...(world.objects.get("NetworkPolicy")?.values() ?? [])] as NetworkPolicy[];
  const isolating = policies.filter(
    (policy) =>
      namespaceOf(policy) === namespaceOf(isolated) &&
      selects(policy.spec.podSelector, isolated.metadata.labels ?? {}) &&
      policyTypes(policy).includes(direction),
  );
  const isolatedBy = isolating.map((policy) => `${namespaceOf(policy)}/${policy.metadata.name}`);
  // "The effects of those lists combine additively."
  for (const policy of isolating) {
    const rules: readonly Rule[] =
      direction === "Ingress"
        ? (policy.spec.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
        : (policy.spec.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
    const rule = rules.findIndex(
      ({ peers, ports }) =>
        allowsPeer(world, policy, peers ?? [], peer) &&
        allowsPort(ports ?? [], destination.pod, protocol, port),
    );
    if (rule >= 0) {
      return {
        isolatedBy,
        allowedBy: { policy: `${namespaceOf(policy)}/${policy.metadata.name}`, rule },
      };
    }
  }
  return { isolatedBy };
}

interface Rule {
  readonly peers: readonly NetworkPolicyPeer[] | undefined;
  readonly ports: readonly NetworkPolicyPort[] | undefined;
}

/**
 * "If no policyTypes are specified then by default Ingress will always be set and Egress will be set if the policy has
 * any egress rules."
 */
function policyTypes(policy: NetworkPolicy): readonly string[] {
  const given = policy.spec.policyTypes ?? [];
  if (given.length > 0) return given;
  return (policy.spec.egress ?? []).length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
}

function allowsPeer(
  world: World,
  policy: NetworkPolicy,
  peers: readonly NetworkPolicyPeer[],
  end: ResolvedEnd,
): boolean {
  // "If this field is empty or missing, this rule matches all sources (traffic not restricted by source)."
  if (peers.length === 0) return true;
  return peers.some(({ podSelector, namespaceSelector, ipBlock }) => {
    if (ipBlock !== undefined) {
      const { address } = end;
      if (address === undefined) return false;
      return (
        contains(ipBlock.cidr, address) &&
        !(ipBlock.except ?? []).some((hole) => contains(hole, address))
      );
    }
    const { pod } = end;
    if (pod === undefined || (podSelector === undefined && namespaceSelector === undefined)) {
      return false;
    }
    // "Otherwise it selects the pods matching podSelector in the policy's own namespace."
    const inNamespace =
      namespaceSelector === undefined
        ? namespaceOf(pod) === namespaceOf(policy)
        : selects(namespaceSelector, labelsOfNamespace(world, namespaceOf(pod)));
    // "If namespaceSelector is set and podSelector is not, it selects all pods in those namespaces."
    return inNamespace && selects(podSelector ?? {}, pod.metadata.labels ?? {});
  });
}

function allowsPort(
  ports: readonly NetworkPolicyPort[],
  destination: Pod | undefined,
  protocol: TransportProtocol,
  number: number,
): boolean {
  // "If this field is empty or missing, this rule matches all ports (traffic not restricted by port)."
  if (ports.length === 0) return true;
  return ports.some((port) => {
    if ((port.protocol ?? "TCP") !== protocol) return false;
    // "If this field is not provided, this matches all port names and numbers."
    if (port.port === undefined) return true;
    if (typeof port.port === "number") {
      return port.port <= number && number <= (port.endPort ?? port.port);
    }
    // "... or a named port on a pod": the destination's.
    const named = (destination?.spec.containers ?? [])
      .flatMap((container) => container.ports ?? [])
      .find(
        (candidate) =>
          candidate.name === port.port &&
          (candidate.protocol ?? "TCP") === (port.protocol ?? "TCP"),
      );
    return named?.containerPort === number;
  });
}

/** "A null or empty selector matches everything"; "the requirements are ANDed". */
function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    if (labels[key] !== value) return false;
  }
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const has = Object.hasOwn(labels, key);
    const among = has && (values ?? []).some((value) => value === labels[key]);
    if (operator === "In" && !among) return false;
    if (operator === "NotIn" && among) return false;
    if (operator === "Exists" && !has) return false;
    if (operator === "DoesNotExist" && has) return false;
  }
  return true;
}

function labelsOfNamespace(world: World, name: string): Readonly<Record<string, string>> {
  const namespace = world.objects.get("Namespace")?.get(name) as Namespace | undefined;
  return { ...namespace?.metadata.labels, "kubernetes.io/metadata.name": name };
}

function namespaceOf(object: { readonly metadata: { readonly namespace?: string } }): string {
  return object.metadata.namespace ?? "default";
}

/** Bit by bit, so as to share nothing with what is tested. A block contains no address of the other family. */
function contains(cidr: string, address: string): boolean {
  const [network = "", length = ""] = cidr.split("/");
  const [a, b] = [bitsOf(network), bitsOf(address)];
  return a.length === b.length && a.slice(0, Number(length)) === b.slice(0, Number(length));
}

function bitsOf(address: string): string {
  const { family, value } = parseIp(address);
  return value.toString(2).padStart(family === "IPv4" ? 32 : 128, "0");
}
