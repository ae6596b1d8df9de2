/**
 * Which field of which AuthorizationPolicy rule decided about a request, or nearly did.
 *
 * Knows no semantics of its own: each field of a rule is compiled to a rule of that field alone, put in the place of
 * the chain's own rules, and the configuration is walked again.
 */

import type { AuthorizationPolicy, AuthorizationRule } from "../../api/istio/security.ts";
import type { FilterChain, ProxyConfig, Rbac } from "../../model/proxy-config.ts";
import { authorizationPoliciesFor } from "../mesh/authorization.ts";
import { type RuleForm, ruleConditions } from "../mesh/authorization-rule.ts";
import { type InboundRequest, type InboundWalk, walkInbound } from "../mesh/walk.ts";
import type { Labels } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectKey, type World } from "../registry/world.ts";
import type { Decider, Difference, NearMiss } from "./explanation.ts";

export interface AuthorizationQuestion {
  readonly world: World;
  /** Of the destination. */
  readonly namespace: string;
  readonly labels: Labels;
  readonly config: ProxyConfig;
  readonly request: InboundRequest;
  readonly walk: InboundWalk;
}

/** The policies with this action that hold for the workload. */
export function policiesWith(
  { world, namespace, labels }: AuthorizationQuestion,
  action: "ALLOW" | "DENY",
): readonly AuthorizationPolicy[] {
  return authorizationPoliciesFor(world, namespace, labels).filter(
    (policy) => (policy.spec?.action ?? "ALLOW") === action,
  );
}

/** The object and path behind `ns[shop]-policy[payments]-rule[0]`. */
export function deciderOf(name: string): Decider | undefined {
  const parts = /^ns\[(.*)\]-policy\[(.*)\]-rule\[(\d+)\]$/.exec(name);
  if (parts === null) return undefined;
  const path = `spec.rules[${parts[3]}]`;
  return { kind: "AuthorizationPolicy", name: `${parts[1]}/${parts[2]}`, path };
}

/** Of all rules that could allow, the one with the fewest fields that do not hold. */
export function nearestAllowing(question: AuthorizationQuestion): NearMiss | undefined {
  const misses = policiesWith(question, "ALLOW").flatMap((policy) =>
    (policy.spec?.rules ?? []).map((rule, index): NearMiss => {
      const path = `spec.rules[${index}]`;
      return {
        rule: { kind: "AuthorizationPolicy", name: objectKey(policy), path },
        differences: partsOf(rule, path).flatMap((alternatives) =>
          fewest(
            alternatives.map((fields) =>
              fields
                .filter((field) => !holds(question, policy, field.rule))
                .map((field) => difference(question, field)),
            ),
          ),
        ),
      };
    }),
  );
  return misses.toSorted((a, b) => a.differences.length - b.differences.length)[0];
}

/** The fields of a denying rule that hold; were one of them otherwise, the rule would not have denied. */
export function escapes(question: AuthorizationQuestion, rule: Decider): NearMiss | undefined {
  const policy = policiesWith(question, "DENY").find((one) => objectKey(one) === rule.name);
  const index = Number(/\[(\d+)\]$/.exec(rule.path ?? "")?.[1]);
  const written = policy?.spec?.rules?.[index];
  if (policy === undefined || written === undefined) return undefined;
  const fields = partsOf(written, rule.path ?? "").flatMap((alternatives) =>
    alternatives
      .filter((each) => each.every((field) => holds(question, policy, field.rule)))
      .slice(0, 1)
      .flat(),
  );
  const differences = fields.slice(-1).map((field) => {
    const { path, have } = difference(question, field);
    return { path, have, want: `anything but ${have}` };
  });
  return differences.length === 0 ? undefined : { rule, differences };
}

interface Field {
  readonly path: string;
  readonly name: string;
  readonly values: readonly string[];
  /** A rule of this field alone. */
  readonly rule: AuthorizationRule;
}

/** `from`, `to` and each `when`: all must hold; within one, any alternative; within that, every field. */
function partsOf(
  rule: AuthorizationRule,
  path: string,
): readonly (readonly (readonly Field[])[])[] {
  const from = (rule.from ?? []).map(({ source }, at) =>
    fieldsOf(source, `${path}.from[${at}].source`, (part) => ({ from: [{ source: part }] })),
  );
  const to = (rule.to ?? []).map(({ operation }, at) =>
    fieldsOf(operation, `${path}.to[${at}].operation`, (part) => ({ to: [{ operation: part }] })),
  );
  const when = (rule.when ?? []).map((condition, at): readonly (readonly Field[])[] => {
    const { key, values, notValues = [] } = condition;
    const wanted = values ?? notValues.map((value) => `not ${value}`);
    return [
      [{ path: `${path}.when[${at}]`, name: key, values: wanted, rule: { when: [condition] } }],
    ];
  });
  return [from, to, ...when];
}

function fieldsOf(
  written: object,
  path: string,
  ruleOf: (part: Record<string, readonly string[]>) => AuthorizationRule,
): readonly Field[] {
  return Object.entries(written).map(([name, values]: [string, readonly string[]]) => ({
    path: `${path}.${name}`,
    name,
    values,
    rule: ruleOf({ [name]: values }),
  }));
}

/** Whether the request passes a chain whose only rule is this one. */
function holds(
  { config, request, walk }: AuthorizationQuestion,
  policy: AuthorizationPolicy,
  rule: AuthorizationRule,
): boolean {
  const rbacIn = (form: RuleForm): readonly Rbac[] => {
    const namespace = namespaceOf(policy);
    const conditions = ruleConditions(rule, { namespace, action: "allow", form });
    if (conditions.kind === "never") return [{ action: "allow", policies: [] }];
    const { permissions, principals } = conditions;
    return [{ action: "allow", policies: [{ name: "asked", permissions, principals }] }];
  };
  const changed = (chain: FilterChain): FilterChain => {
    if (chain.name !== walk.chain) return chain;
    return chain.filter.kind === "http"
      ? { ...chain, rbac: [], filter: { ...chain.filter, rbac: rbacIn("http") } }
      : { ...chain, rbac: rbacIn("tcp") };
  };
  const listeners = config.listeners.map((listener) => ({
    ...listener,
    filterChains: listener.filterChains.map(changed),
  }));
  return walkInbound({ ...config, listeners }, request).verdict === "allow";
}

function difference(
  { request, walk }: AuthorizationQuestion,
  { path, name, values }: Field,
): Difference {
  const list = values.join(" or ");
  const want = name.startsWith("not") ? `none of ${list}` : list;
  return { path, have: haveOf(name, request, walk), want };
}

function haveOf(name: string, request: InboundRequest, walk: InboundWalk): string {
  const { http, tls, sourceAddress = "unknown", port } = request;
  const proven = walk.isMutual && tls?.kind === "mesh" ? tls.principal : undefined;
  const [, , namespace, , account] = proven?.split("/") ?? [];
  const header = /^request\.headers\[(.+)\]$/.exec(name)?.[1];
  if (header !== undefined) return http?.headers?.[header.toLowerCase()] ?? "no such header";
  const what = name.replace(/^not/, "").replace(/^source\./, "");
  switch (what.toLowerCase()) {
    case "principals":
    case "principal":
      return proven ?? "no proven identity";
    case "namespaces":
    case "namespace":
      return namespace ?? "no proven identity";
    case "serviceaccounts":
    case "serviceaccount":
      return account === undefined ? "no proven identity" : `${namespace}/${account}`;
    case "ports":
    case "destination.port":
      return `${port}`;
    case "methods":
      return http?.method ?? "a connection, not a request";
    case "paths":
      return http === undefined ? "a connection, not a request" : (http.path ?? "/");
    case "hosts":
      return http?.host ?? "a connection, not a request";
    default:
      return sourceAddress;
  }
}

function fewest(alternatives: readonly (readonly Difference[])[]): readonly Difference[] {
  return alternatives.toSorted((a, b) => a.length - b.length)[0] ?? [];
}
