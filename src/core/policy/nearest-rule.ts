/**
 * The NetworkPolicy rule that comes nearest to allowing a connection, and the fields that keep it from doing so.
 *
 * Knows no semantics of its own: it asks the evaluator the same question of a policy that has one requirement only, for
 * each requirement of each rule. A field differs where that policy would not allow.
 */

import type { Pod } from "../../api/k8s/core.ts";
import type {
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from "../../api/k8s/network-policy.ts";
import type { LabelSelector, LabelSelectorRequirement } from "../../api/resource.ts";
import { namespaceLabels } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import {
  type ConnectionEnd,
  type DirectionEvaluation,
  evaluatePolicy,
  resolveEnd,
} from "./evaluate.ts";
import type { TransportProtocol } from "./interpret.ts";

export interface PolicyQuestion {
  readonly direction: "Ingress" | "Egress";
  readonly from: ConnectionEnd;
  readonly to: ConnectionEnd;
  readonly protocol: TransportProtocol;
  readonly port: number;
}

export interface RuleMiss {
  /** `namespace/name` of the policy. */
  readonly policy: string;
  /** `spec.ingress[0]`. */
  readonly path: string;
  /** Empty: the rule allows. */
  readonly differences: readonly FieldDifference[];
}

export interface FieldDifference {
  /** In the policy. */
  readonly path: string;
  readonly have: string;
  readonly want: string;
}

/**
 * Rules of policies that hold for the pod come first, because a policy for other pods would be widened by changing it;
 * then those with the fewest differences. Rules that let pods ask for names come last: by their form they are near to
 * everything, and nobody means them to allow anything else. Undefined: no policy of the namespace has a rule for this
 * direction.
 */
export function nearestRule(world: World, question: PolicyQuestion): RuleMiss | undefined {
  const isolated = resolveEnd(
    world,
    question.direction === "Ingress" ? question.to : question.from,
  ).pod;
  if (isolated === undefined) return undefined;
  const misses = objectsOf<NetworkPolicy>(world, "NetworkPolicy")
    .filter((policy) => policy.metadata.namespace === isolated.metadata.namespace)
    .flatMap((policy) => ruleMisses(world, question, policy, isolated));
  const [first] = misses.toSorted(
    (a, b) =>
      Number(a.isForOthers) - Number(b.isForOthers) ||
      Number(a.isForNames) - Number(b.isForNames) ||
      a.differences.length - b.differences.length,
  );
  if (first === undefined) return undefined;
  const { policy, path, differences } = first;
  return { policy, path, differences };
}

interface RankedMiss extends RuleMiss {
  /** The policy is not about the pod. */
  readonly isForOthers: boolean;
  /** The rule allows DNS and nothing else. */
  readonly isForNames: boolean;
}

/** One for each rule of the policy in the question's direction. */
function ruleMisses(
  world: World,
  question: PolicyQuestion,
  policy: NetworkPolicy,
  isolated: Pod,
): readonly RankedMiss[] {
  const ingress = question.direction === "Ingress";
  const field = ingress ? "ingress" : "egress";
  const selection = selectionDifferences(world, question, policy, isolated);
  const asked = new Asked(world, question, policy);
  const rules = ingress
    ? (policy.spec.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
    : (policy.spec.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
  return rules.map(({ peers = [], ports = [] }, index) => {
    const path = `spec.${field}[${index}]`;
    const list = `${path}.${ingress ? "from" : "to"}`;
    return {
      policy: objectKey(policy),
      path,
      isForOthers: selection.length > 0,
      isForNames: ports.length > 0 && ports.every(({ port }) => port === 53),
      differences: [
        ...fewest(peers.map((peer, at) => asked.peer(peer, `${list}[${at}]`))),
        ...fewest(ports.map((port, at) => asked.port(port, `${path}.ports[${at}]`))),
        ...selection,
      ],
    };
  });
}

/** Requirements of one policy's rules, asked one at a time of pods that nothing else isolates. */
class Asked {
  readonly #world: World;
  readonly #question: PolicyQuestion;
  readonly #policy: NetworkPolicy;
  readonly #peer: Pod | undefined;

  constructor(world: World, question: PolicyQuestion, policy: NetworkPolicy) {
    this.#world = world;
    this.#question = question;
    this.#policy = policy;
    this.#peer = resolveEnd(
      world,
      question.direction === "Ingress" ? question.from : question.to,
    ).pod;
  }

  peer(peer: NetworkPolicyPeer, path: string): readonly FieldDifference[] {
    const { ipBlock, podSelector, namespaceSelector } = peer;
    if (ipBlock !== undefined) {
      const holes = ipBlock.except ?? [];
      const want = `${ipBlock.cidr}${holes.length === 0 ? "" : ` except ${holes.join(", ")}`}`;
      return this.#unless([{ ipBlock }], [], `${path}.ipBlock`, this.#peerAddress, want);
    }
    if (this.#peer === undefined) {
      return [{ path, have: `${this.#peerAddress}, which is no pod`, want: "a pod" }];
    }
    const labels = this.#peer.metadata.labels ?? {};
    const pods = partsOf(podSelector ?? {}, labels).flatMap(({ part, suffix, have, want }) =>
      // Whatever the namespace: that is a requirement of its own.
      this.#unless(
        [{ podSelector: part, namespaceSelector: {} }],
        [],
        `${path}.podSelector${suffix}`,
        have,
        want,
      ),
    );
    return [...this.#namespace(namespaceSelector, path), ...pods];
  }

  port(port: NetworkPolicyPort, path: string): readonly FieldDifference[] {
    const { protocol, port: number } = this.#question;
    const wanted = port.protocol ?? "TCP";
    const differences: FieldDifference[] = [];
    if (wanted !== protocol) {
      differences.push({ path: `${path}.protocol`, have: protocol, want: wanted });
    }
    if (port.port === undefined || protocol === "ICMP") return differences;
    const range = port.endPort === undefined ? `${port.port}` : `${port.port}–${port.endPort}`;
    const sameProtocol = { ...port, protocol };
    return [
      ...differences,
      ...this.#unless([], [sameProtocol], `${path}.port`, `${number}`, range),
    ];
  }

  #namespace(selector: LabelSelector | undefined, path: string): readonly FieldDifference[] {
    const namespace = this.#peer?.metadata.namespace ?? "default";
    if (selector === undefined) {
      const own = this.#policy.metadata.namespace ?? "default";
      const where = `${path}.namespaceSelector`;
      return this.#unless([{ podSelector: {} }], [], where, namespace, `${own} (the policy's own)`);
    }
    const labels = namespaceLabels(this.#world, namespace);
    return partsOf(selector, labels).flatMap(({ part, suffix, have, want }) =>
      this.#unless(
        [{ namespaceSelector: part }],
        [],
        `${path}.namespaceSelector${suffix}`,
        have,
        want,
      ),
    );
  }

  /** A difference, unless a policy of these requirements alone allows the connection in this direction. */
  #unless(
    peers: readonly NetworkPolicyPeer[],
    ports: readonly NetworkPolicyPort[],
    path: string,
    have: string,
    want: string,
  ): readonly FieldDifference[] {
    const { direction } = this.#question;
    const spec: NetworkPolicy["spec"] =
      direction === "Ingress"
        ? { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ from: peers, ports }] }
        : { podSelector: {}, policyTypes: ["Egress"], egress: [{ to: peers, ports }] };
    const alone = evaluateAlone(this.#world, this.#question, { ...this.#policy, spec });
    return alone.allowedBy !== undefined ? [] : [{ path, have, want }];
  }

  get #peerAddress(): string {
    const { direction, from, to } = this.#question;
    const end = direction === "Ingress" ? from : to;
    return end.kind === "address" ? end.address : (this.#peer?.status?.podIP ?? "no address");
  }
}

/** Why the policy is not about the pod: its labels, or the direction. */
function selectionDifferences(
  world: World,
  question: PolicyQuestion,
  policy: NetworkPolicy,
  isolated: Pod,
): readonly FieldDifference[] {
  const { direction } = question;
  const isolates = (spec: NetworkPolicy["spec"]): boolean => {
    const alone = evaluateAlone(world, question, { ...policy, spec });
    return alone.isolatedBy.length > 0;
  };
  const labels = isolated.metadata.labels ?? {};
  const selector = partsOf(policy.spec.podSelector, labels).flatMap((each) =>
    isolates({ podSelector: each.part, policyTypes: [direction] })
      ? []
      : [{ path: `spec.podSelector${each.suffix}`, have: each.have, want: each.want }],
  );
  const types = isolates({ ...policy.spec, podSelector: {} })
    ? []
    : [
        {
          path: "spec.policyTypes",
          have: direction,
          want: (policy.spec.policyTypes ?? ["Ingress"]).join(", "),
        },
      ];
  return [...selector, ...types];
}

/** What the evaluator says of the question's direction where this is the only policy there is. */
function evaluateAlone(
  world: World,
  question: PolicyQuestion,
  policy: NetworkPolicy,
): DirectionEvaluation {
  const { from, to, protocol, port, direction } = question;
  const objects = new Map(world.objects);
  objects.set("NetworkPolicy", new Map([[objectKey(policy), policy]]));
  const evaluation = evaluatePolicy({ ...world, objects }, from, to, protocol, port);
  return direction === "Ingress" ? evaluation.ingress : evaluation.egress;
}

interface SelectorPart {
  /** A selector of this one requirement. */
  readonly part: LabelSelector;
  /** `.matchLabels.app`. */
  readonly suffix: string;
  readonly have: string;
  readonly want: string;
}

function partsOf(
  selector: LabelSelector,
  labels: Readonly<Record<string, string>>,
): readonly SelectorPart[] {
  const have = (key: string): string => (key in labels ? `${key}=${labels[key]}` : `no ${key}`);
  return [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
      part: { matchLabels: { [key]: value } },
      suffix: `.matchLabels.${key}`,
      have: have(key),
      want: `${key}=${value}`,
    })),
    ...(selector.matchExpressions ?? []).map((requirement, index) => ({
      part: { matchExpressions: [requirement] },
      suffix: `.matchExpressions[${index}]`,
      have: have(requirement.key),
      want: renderRequirement(requirement),
    })),
  ];
}

function renderRequirement({ key, operator, values = [] }: LabelSelectorRequirement): string {
  switch (operator) {
    case "In":
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in ${values.join(", ")}`;
    case "NotIn":
      return `${key} not in ${values.join(", ")}`;
    case "Exists":
      return `${key}`;
    case "DoesNotExist":
      return `no ${key}`;
  }
}

/** Alternatives: the one with the fewest differences counts; none at all restrict nothing. */
function fewest(alternatives: readonly (readonly FieldDifference[])[]): readonly FieldDifference[] {
  return alternatives.toSorted((a, b) => a.length - b.length)[0] ?? [];
}
