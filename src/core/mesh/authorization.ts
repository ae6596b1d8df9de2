/**
 * Which AuthorizationPolicies hold for a workload, and what they become: at most one DENY and one ALLOW filter.
 *
 * A policy holds for the workloads of its namespace that its selector fits, one in the root namespace for those of
 * every namespace; one for targets for none (`isForTargets`). DENY is evaluated first. As soon as any ALLOW policy holds for a workload, what none of its rules
 * allows is refused; one without rules therefore refuses everything.
 *
 * The connection form (TCP ports) sees no requests. There an ALLOW rule that asks about requests can never be shown to
 * hold and is dropped; a DENY rule loses its request part and refuses more, possibly everything on the port: failing
 * closed, as Istio does. AUDIT decides nothing. CUSTOM needs an external authorizer, which does not exist yet: what it
 * would have been asked about is refused.
 */

import type { AuthorizationPolicy } from "../../api/istio/security.ts";
import type { Diagnostic } from "../../base/compiled.ts";
import type { Rbac, RbacPolicy } from "../../model/proxy-config.ts";
import { type Labels, matchesLabels } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectsOf, type World } from "../registry/world.ts";
import { type RuleForm, ruleConditions } from "./authorization-rule.ts";
import { describe, isForTargets, rootNamespace } from "./visibility.ts";

export interface WorkloadAuthorization {
  /** For HTTP filter chains. */
  readonly http: readonly Rbac[];
  /** For TCP filter chains. */
  readonly tcp: readonly Rbac[];
  readonly notes: readonly Diagnostic[];
}

export function authorizationOf(
  world: World,
  namespace: string,
  labels: Labels,
): WorkloadAuthorization {
  const policies = authorizationPoliciesFor(world, namespace, labels);
  const notes: Diagnostic[] = objectsOf<AuthorizationPolicy>(world, "AuthorizationPolicy")
    .filter((policy) => isNear(policy, namespace) && isForTargets(policy))
    .map((policy) => ({
      severity: "warning",
      code: "HEDDLE0116",
      where: `${describe(policy)} spec.targetRefs`,
      message: "is about kinds that are not there: the policy holds for nobody",
    }));
  return {
    http: filtersOf(policies, "http", notes),
    tcp: filtersOf(policies, "tcp", []), // what is wrong with a rule is said once
    notes,
  };
}

/** The policies, whatever their action, that hold for a workload. */
export function authorizationPoliciesFor(
  world: World,
  namespace: string,
  labels: Labels,
): readonly AuthorizationPolicy[] {
  return objectsOf<AuthorizationPolicy>(world, "AuthorizationPolicy").filter((policy) =>
    holdsFor(policy, namespace, labels),
  );
}

function holdsFor(policy: AuthorizationPolicy, namespace: string, labels: Labels): boolean {
  return (
    isNear(policy, namespace) &&
    !isForTargets(policy) &&
    matchesLabels(labels, policy.spec?.selector?.matchLabels ?? {})
  );
}

function isNear(policy: AuthorizationPolicy, namespace: string): boolean {
  const owner = namespaceOf(policy);
  return owner === namespace || owner === rootNamespace;
}

function filtersOf(
  policies: readonly AuthorizationPolicy[],
  form: RuleForm,
  notes: Diagnostic[],
): readonly Rbac[] {
  const actionOf = (policy: AuthorizationPolicy): string => policy.spec?.action ?? "ALLOW";
  const denying = policies.filter((policy) => ["DENY", "CUSTOM"].includes(actionOf(policy)));
  const allowing = policies.filter((policy) => actionOf(policy) === "ALLOW");
  for (const policy of policies.filter((policy) => actionOf(policy) === "CUSTOM")) {
    notes.push({
      severity: "error",
      code: "HEDDLE0107",
      where: `${describe(policy)} spec.action`,
      message: "CUSTOM is not supported yet: requests that match the rules are refused",
    });
  }
  const deny = denying.flatMap((policy) => rulesOf(policy, "deny", form, notes));
  const allow = allowing.flatMap((policy) => rulesOf(policy, "allow", form, notes));
  return [
    ...(deny.length === 0 ? [] : [{ action: "deny" as const, policies: deny }]),
    ...(allowing.length === 0 ? [] : [{ action: "allow" as const, policies: allow }]),
  ];
}

function rulesOf(
  policy: AuthorizationPolicy,
  action: Rbac["action"],
  form: RuleForm,
  notes: Diagnostic[],
): readonly RbacPolicy[] {
  const namespace = namespaceOf(policy);
  return (policy.spec?.rules ?? []).flatMap((rule, index) => {
    const conditions = ruleConditions(rule, { namespace, action, form });
    for (const field of conditions.unsupported) {
      notes.push({
        severity: "error",
        code: "HEDDLE0106",
        where: `${describe(policy)} spec.rules[${index}]`,
        message: `${field} is not supported yet: ${
          action === "allow" ? "the rule allows nothing" : "the rule refuses without asking it"
        }`,
      });
    }
    if (conditions.kind === "never") return [];
    const { permissions, principals } = conditions;
    const name = `ns[${namespace}]-policy[${policy.metadata.name}]-rule[${index}]`;
    return [{ name, permissions, principals }];
  });
}
