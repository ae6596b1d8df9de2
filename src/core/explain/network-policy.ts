/** What NetworkPolicy says of the packets between the source and one candidate. */

import type { NetworkPolicy } from "../../api/k8s/network-policy.ts";
import {
  type ConnectionEnd,
  type DirectionEvaluation,
  evaluatePolicy,
  type PolicyEvaluation,
} from "../policy/evaluate.ts";
import { nearestRule } from "../policy/nearest-rule.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import type { Decider, NearMiss, Step } from "./explanation.ts";
import type { RefusalReason } from "./verdict.ts";

export interface PacketQuestion {
  readonly from: ConnectionEnd;
  readonly to: ConnectionEnd;
  readonly protocol: "TCP" | "UDP";
  readonly port: number;
  /** Of the pods, for sentences; absent where an end is none. */
  readonly source?: string;
  readonly destination?: string;
}

export interface PolicyStep {
  readonly step: Step;
  /** Present where the direction refuses. */
  readonly refusal?: RefusalReason;
}

/** Egress of the source, then ingress of the destination: the first that refuses ends it. */
export function policySteps(world: World, question: PacketQuestion): readonly PolicyStep[] {
  const { from, to, protocol, port } = question;
  const evaluation = evaluatePolicy(world, from, to, protocol, port);
  const egress = directionStep(world, question, "Egress", evaluation);
  if (egress.refusal !== undefined) return [egress];
  return [egress, directionStep(world, question, "Ingress", evaluation)];
}

function directionStep(
  world: World,
  question: PacketQuestion,
  direction: "Ingress" | "Egress",
  evaluation: PolicyEvaluation,
): PolicyStep {
  const isEgress = direction === "Egress";
  const step = isEgress ? ("egress policy" as const) : ("ingress policy" as const);
  const pod = isEgress ? question.source : question.destination;
  const outcome = isEgress ? evaluation.egress : evaluation.ingress;
  const pass = (by: readonly Decider[], detail: string): PolicyStep => ({
    step: { step, outcome: "pass", by, detail },
  });
  if (pod === undefined) return pass([], "the other end is no pod: nothing to enforce there");
  if (evaluation.exempt === "self") return pass([], "a pod always reaches itself");
  if (evaluation.exempt === "own-node") return pass([], "a node always reaches its own pods");
  const verb = direction.toLowerCase();
  if (outcome.isolatedBy.length === 0) {
    return pass([], `no NetworkPolicy isolates ${pod} for ${verb}`);
  }
  const { allowedBy } = outcome;
  if (allowedBy !== undefined) {
    const path = `spec.${verb}[${allowedBy.rule}]`;
    const rule = { kind: "NetworkPolicy", name: allowedBy.policy, path };
    return pass([rule], `allowed to port ${question.port}, of ${count(outcome)}`);
  }
  return refused(world, question, direction, step, pod, outcome);
}

function refused(
  world: World,
  question: PacketQuestion,
  direction: "Ingress" | "Egress",
  step: "egress policy" | "ingress policy",
  pod: string,
  { isolatedBy }: DirectionEvaluation,
): PolicyStep {
  const by = isolatedBy.map((name) => ({ kind: "NetworkPolicy", name, path: "spec.podSelector" }));
  const names = isolatedBy.map((name) =>
    deniesByDefault(world, name, direction) ? `${name} (denies all by default)` : name,
  );
  const what = direction === "Egress" ? "leave" : "reach";
  const detail = `no rule lets ${question.protocol}/${question.port} ${what} ${pod}, isolated by ${names.join(", ")}`;
  const { from, to, protocol, port } = question;
  const miss = nearestRule(world, { direction, from, to, protocol, port });
  const nearest: NearMiss | undefined = miss && {
    rule: { kind: "NetworkPolicy", name: miss.policy, path: miss.path },
    differences: miss.differences,
  };
  return {
    step: { step, outcome: "refuse", by, detail },
    refusal: { by, detail, nearest },
  };
}

/** Isolates in the direction and has no rule for it: allows nothing by itself. */
function deniesByDefault(world: World, name: string, direction: "Ingress" | "Egress"): boolean {
  const policy = objectsOf<NetworkPolicy>(world, "NetworkPolicy").find(
    (one) => objectKey(one) === name,
  );
  const rules = direction === "Ingress" ? policy?.spec.ingress : policy?.spec.egress;
  return (rules ?? []).length === 0;
}

function count({ isolatedBy }: DirectionEvaluation): string {
  const one = isolatedBy.length === 1;
  return `${isolatedBy.length} ${one ? "policy that isolates" : "policies that isolate"} it`;
}
