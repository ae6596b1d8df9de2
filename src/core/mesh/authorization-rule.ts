/**
 * One rule of an AuthorizationPolicy as permissions and principals.
 *
 * `from` and `to` are lists of alternatives; the fields of an alternative must all hold, the values of a field are
 * alternatives again, a `not…` field must not hold. `when` must hold in addition to whichever alternative did.
 */

import type {
  AuthorizationOperation,
  AuthorizationRule,
  AuthorizationSource,
} from "../../api/istio/security.ts";
import type { Permission, Principal, Rbac } from "../../model/proxy-config.ts";
import {
  accountMatch,
  cidrOf,
  hostMatch,
  isRange,
  namespaceMatch,
  pathMatch,
  textMatch,
} from "./authorization-match.ts";

/** What a rule is compiled for: requests, or connections, which have no request to look at. */
export type RuleForm = "http" | "tcp";

export interface RuleContext {
  /** The policy's own. */
  readonly namespace: string;
  readonly action: Rbac["action"];
  readonly form: RuleForm;
}

export type RuleConditions = { readonly unsupported: readonly string[] } & (
  | { readonly kind: "never" }
  | {
      readonly kind: "when";
      readonly permissions: readonly Permission[];
      readonly principals: readonly Principal[];
    }
);

export function ruleConditions(rule: AuthorizationRule, context: RuleContext): RuleConditions {
  const collected = new Collector(context);
  const when = (rule.when ?? []).map((condition) => conditionOf(condition, collected));
  const whenPermissions = when.flatMap(({ permissions }) => permissions);
  const whenPrincipals = when.flatMap(({ principals }) => principals);
  const operations = (rule.to ?? []).map(({ operation }) => operationOf(operation, collected));
  const sources = (rule.from ?? []).map(({ source }) => sourceOf(source, collected));
  const { unsupported, asksForRequests } = collected;
  const isUnknowable = unsupported.length > 0 || (asksForRequests && context.form === "tcp");
  if (isUnknowable && context.action === "allow") return { kind: "never", unsupported };
  return {
    kind: "when",
    unsupported,
    permissions: orAny(operations).map((parts) => allPermissions([...parts, ...whenPermissions])),
    principals: orAny(sources).map((parts) => allPrincipals([...parts, ...whenPrincipals])),
  };
}

/** No alternatives at all: whoever and whatever. */
function orAny<T>(alternatives: readonly (readonly T[])[]): readonly (readonly T[])[] {
  return alternatives.length === 0 ? [[]] : alternatives;
}

/** Gathers parts, and why some could not be made. */
class Collector {
  readonly #context: RuleContext;
  readonly unsupported: string[] = [];
  asksForRequests = false;

  constructor(context: RuleContext) {
    this.#context = context;
  }

  get namespace(): string {
    return this.#context.namespace;
  }

  /** A part that only requests have: left out for connections. */
  request<T>(parts: readonly T[]): readonly T[] {
    if (parts.length === 0) return parts;
    this.asksForRequests = true;
    return this.#context.form === "tcp" ? [] : parts;
  }

  refuse(field: string): void {
    if (!this.unsupported.includes(field)) this.unsupported.push(field);
  }

  /** Fields that the API has and this compiler does not know are never silently ignored. */
  refuseOthers(object: object, known: readonly string[], prefix: string): void {
    for (const field of Object.keys(object)) {
      if (!known.includes(field)) this.refuse(`${prefix}.${field}`);
    }
  }
}

interface WrittenSource extends AuthorizationSource {
  readonly remoteIpBlocks?: readonly string[];
  readonly notRemoteIpBlocks?: readonly string[];
}

const sourceFields = [
  "principals",
  "notPrincipals",
  "namespaces",
  "notNamespaces",
  "serviceAccounts",
  "notServiceAccounts",
  "ipBlocks",
  "notIpBlocks",
  "remoteIpBlocks",
  "notRemoteIpBlocks",
];

function sourceOf(source: WrittenSource, collected: Collector): readonly Principal[] {
  collected.refuseOthers(source, sourceFields, "source");
  return [
    ...principals(source.principals, source.notPrincipals, principal),
    ...principals(source.namespaces, source.notNamespaces, inNamespace),
    ...principals(source.serviceAccounts, source.notServiceAccounts, (account) => ({
      kind: "authenticated",
      match: accountMatch(account, collected.namespace),
    })),
    ...principals(source.ipBlocks, source.notIpBlocks, fromAddress),
    ...principals(source.remoteIpBlocks, source.notRemoteIpBlocks, fromRemote),
  ];
}

const operationFields = [
  "hosts",
  "notHosts",
  "ports",
  "notPorts",
  "methods",
  "notMethods",
  "paths",
  "notPaths",
];

function operationOf(
  operation: AuthorizationOperation,
  collected: Collector,
): readonly Permission[] {
  collected.refuseOthers(operation, operationFields, "operation");
  const { hosts, notHosts, ports, notPorts, methods, notMethods, paths, notPaths } = operation;
  return [
    ...permissions(ports, notPorts, toPort),
    ...collected.request(
      permissions(hosts, notHosts, (host) => ({
        kind: "header",
        header: { name: ":authority", match: hostMatch(host), invert: false },
      })),
    ),
    ...collected.request(
      permissions(methods, notMethods, (method) => ({
        kind: "header",
        header: { name: ":method", match: textMatch(method), invert: false },
      })),
    ),
    ...collected.request(
      permissions(paths, notPaths, (path) => ({ kind: "path", match: pathMatch(path) })),
    ),
  ];
}

interface ConditionParts {
  readonly permissions: readonly Permission[];
  readonly principals: readonly Principal[];
}

function conditionOf(
  condition: NonNullable<AuthorizationRule["when"]>[number],
  collected: Collector,
): ConditionParts {
  const { key, values, notValues } = condition;
  const who = (of: (value: string) => Principal): ConditionParts => ({
    permissions: [],
    principals: principals(values, notValues, of),
  });
  /** Whether it asks for what can be looked for; objects that were stored by an earlier release may not. */
  const asks = (isOne: (value: string) => boolean): boolean => {
    const odd = [...(values ?? []), ...(notValues ?? [])].filter((value) => !isOne(value));
    for (const value of odd) collected.refuse(`condition ${key} ${JSON.stringify(value)}`);
    return odd.length === 0;
  };
  const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
  if (header !== undefined) {
    const asked = principals(values, notValues, (value) => ({
      kind: "header",
      header: { name: header.toLowerCase(), match: textMatch(value), invert: false },
    }));
    return { permissions: [], principals: collected.request(asked) };
  }
  switch (key) {
    case "source.ip":
      return asks(isRange) ? who(fromAddress) : nothing;
    case "remote.ip":
      return asks(isRange) ? who(fromRemote) : nothing;
    case "source.namespace":
      return who(inNamespace);
    case "source.principal":
      return who(principal);
    case "source.serviceAccount":
      return who((account) => ({
        kind: "authenticated",
        match: accountMatch(account, collected.namespace),
      }));
    case "destination.port":
      if (!asks(isPort)) return nothing;
      return { permissions: permissions(values, notValues, toPort), principals: [] };
    default:
      collected.refuse(`condition ${key}`);
      return nothing;
  }
}

const nothing: ConditionParts = { permissions: [], principals: [] };

function principal(value: string): Principal {
  return { kind: "authenticated", match: textMatch(value) };
}

function inNamespace(value: string): Principal {
  return { kind: "authenticated", match: namespaceMatch(value) };
}

function fromAddress(value: string): Principal {
  return { kind: "source-ip", cidr: cidrOf(value) };
}

function fromRemote(value: string): Principal {
  return { kind: "remote-ip", cidr: cidrOf(value) };
}

function isPort(value: string): boolean {
  return /^\d{1,5}$/.test(value);
}

function toPort(value: string): Permission {
  return { kind: "destination-port", port: Number(value) };
}

function principals(
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
  of: (value: string) => Principal,
): readonly Principal[] {
  return [
    ...(values === undefined || values.length === 0 ? [] : [anyPrincipal(values.map(of))]),
    ...(notValues === undefined || notValues.length === 0
      ? []
      : [{ kind: "not" as const, of: anyPrincipal(notValues.map(of)) }]),
  ];
}

function permissions(
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
  of: (value: string) => Permission,
): readonly Permission[] {
  return [
    ...(values === undefined || values.length === 0 ? [] : [anyPermission(values.map(of))]),
    ...(notValues === undefined || notValues.length === 0
      ? []
      : [{ kind: "not" as const, of: anyPermission(notValues.map(of)) }]),
  ];
}

function anyPrincipal(of: readonly Principal[]): Principal {
  return of.length === 1 && of[0] !== undefined ? of[0] : { kind: "or", of };
}

function anyPermission(of: readonly Permission[]): Permission {
  return of.length === 1 && of[0] !== undefined ? of[0] : { kind: "or", of };
}

function allPrincipals(of: readonly Principal[]): Principal {
  if (of.length === 0) return { kind: "any" };
  return of.length === 1 && of[0] !== undefined ? of[0] : { kind: "and", of };
}

function allPermissions(of: readonly Permission[]): Permission {
  if (of.length === 0) return { kind: "any" };
  return of.length === 1 && of[0] !== undefined ? of[0] : { kind: "and", of };
}
