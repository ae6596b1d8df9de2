/**
 * Matches compiled to closures, once per configuration.
 *
 * A request then runs functions over values it already holds; nothing of the configuration is interpreted on its way.
 * Configured regular expressions are RE2's syntax; what JavaScript cannot say is refused when the snapshot is built.
 */

import { MeshError, unreachable } from "../../base/error.ts";
import { cidrContains, isIp, parseCidr } from "../../base/ip.ts";
import { portableWhereRead } from "../../base/re2.ts";
import type {
  HeaderMatch,
  PathMatch,
  Permission,
  Principal,
  Rbac,
  RouteMatch,
  StringMatch,
} from "../../model/proxy-config.ts";

/** What matches look at; a request has all of it, a TCP connection no path and no fields. */
export interface Subject {
  /** Without the query; undefined for TCP. */
  readonly path: string | undefined;
  /** With its question mark, or empty. */
  readonly query: string;
  /** The value of a field (lower-case name) or pseudo-header; undefined when it is absent. */
  field(name: string): string | undefined;
  /** Whether `takes` takes one of the field's values, where it comes in several lines. */
  anyField(name: string, takes: (value: string) => boolean): boolean;
  readonly destinationPort: number;
  readonly sourceAddress: string;
  /** Where it began, as far as those are believed who say so; text that may be no address. */
  readonly remoteAddress: string;
  /** SPIFFE id without its scheme; undefined where there is no verified peer. */
  readonly principal: string | undefined;
}

export type Matcher = (subject: Subject) => boolean;
type TextMatcher = (value: string) => boolean;

const always: Matcher = () => true;

export function compileRouteMatch(match: RouteMatch): Matcher {
  const all: Matcher[] = [];
  const path = compilePath(match.path, match.ignoreCase === true);
  if (path !== undefined) all.push((subject) => subject.path !== undefined && path(subject.path));
  for (const header of match.headers) all.push(compileHeader(header));
  for (const parameter of match.queryParameters) {
    const text = compileText(parameter.match);
    all.push((subject) => {
      const value = queryParameter(subject.query, parameter.name);
      return value !== undefined && text(value);
    });
  }
  return every(all);
}

function compilePath(match: PathMatch, ignoreCase: boolean): TextMatcher | undefined {
  if (match.kind === "prefix" && match.value === "/") return undefined;
  const wanted = ignoreCase ? match.value.toLowerCase() : match.value;
  switch (match.kind) {
    case "prefix":
      return ignoreCase
        ? (path) => path.toLowerCase().startsWith(wanted)
        : (path) => path.startsWith(wanted);
    case "exact":
      return ignoreCase ? (path) => path.toLowerCase() === wanted : (path) => path === wanted;
    case "regex": {
      const expression = compileRegex(match.value); // never without regard to case, as with Envoy
      return (path) => expression.test(path);
    }
    default:
      return unreachable(match);
  }
}

function compileHeader(header: HeaderMatch): Matcher {
  const name = header.name.toLowerCase();
  if (header.match.kind === "present") {
    return header.invert
      ? (subject) => subject.field(name) === undefined
      : (subject) => subject.field(name) !== undefined;
  }
  const text = compileText(header.match);
  // Line by line: a second line beside a forbidden value must not hide it from a rule that denies it (CVE-2026-26308).
  // An absent field does not match, and so matches inverted.
  return header.invert
    ? (subject) => !subject.anyField(name, text)
    : (subject) => subject.anyField(name, text);
}

export function compileText(match: StringMatch): TextMatcher {
  switch (match.kind) {
    case "exact":
      return (value) => value === match.value;
    case "prefix":
      return (value) => value.startsWith(match.value);
    case "suffix":
      return (value) => value.endsWith(match.value);
    case "regex": {
      const expression = compileRegex(match.value);
      return (value) => expression.test(value);
    }
    case "present":
      return () => true;
    default:
      return unreachable(match);
  }
}

/** Of RE2's syntax. Both ends are anchored, but where all matches `anywhere` are wanted. */
export function compileRegex(source: string, where?: "anywhere"): RegExp {
  try {
    const portable = portableWhereRead(source);
    const leading = portable.startsWith("(?i)");
    const body = leading ? portable.slice(4) : portable;
    const flags = leading ? "is" : "s";
    return where === "anywhere"
      ? new RegExp(body, `${flags}g`)
      : new RegExp(`^(?:${body})$`, flags);
  } catch (cause) {
    throw new MeshError("proxy.config.regex", `compile regular expression "${source}"`, {
      cause,
      fault: "user",
    });
  }
}

/** An RBAC filter as a decision. */
export interface CompiledRbac {
  readonly action: Rbac["action"];
  readonly policies: readonly { readonly name: string; readonly matches: Matcher }[];
}

export function compileRbac(rbac: Rbac): CompiledRbac {
  return {
    action: rbac.action,
    policies: rbac.policies.map((policy) => ({
      name: policy.name,
      matches: every([
        some(policy.permissions.map(compilePermission)),
        some(policy.principals.map(compilePrincipal)),
      ]),
    })),
  };
}

/** Why the subject is refused (the policy's name, or what is missing); undefined when it may pass. */
export function refusal(rbacs: readonly CompiledRbac[], subject: Subject): string | undefined {
  for (const rbac of rbacs) {
    const hit = rbac.policies.find((policy) => policy.matches(subject));
    if (rbac.action === "deny" && hit !== undefined) return hit.name;
    if (rbac.action === "allow" && hit === undefined) return "none";
  }
  return undefined;
}

function compilePermission(permission: Permission): Matcher {
  switch (permission.kind) {
    case "any":
      return always;
    case "and":
      return every(permission.of.map(compilePermission));
    case "or":
      return some(permission.of.map(compilePermission));
    case "not":
      return not(compilePermission(permission.of));
    case "destination-port":
      return (subject) => subject.destinationPort === permission.port;
    case "path": {
      const text = compileText(permission.match);
      return (subject) => subject.path !== undefined && text(subject.path);
    }
    case "header":
      return compileHeader(permission.header);
    default:
      return unreachable(permission);
  }
}

function compilePrincipal(principal: Principal): Matcher {
  switch (principal.kind) {
    case "any":
      return always;
    case "and":
      return every(principal.of.map(compilePrincipal));
    case "or":
      return some(principal.of.map(compilePrincipal));
    case "not":
      return not(compilePrincipal(principal.of));
    case "authenticated": {
      const text = compileText(principal.match);
      return (subject) => subject.principal !== undefined && text(subject.principal);
    }
    case "source-ip": {
      const cidr = parseCidr(principal.cidr);
      return (subject) => isIp(subject.sourceAddress) && cidrContains(cidr, subject.sourceAddress);
    }
    case "remote-ip": {
      const cidr = parseCidr(principal.cidr);
      return ({ remoteAddress }) => isIp(remoteAddress) && cidrContains(cidr, remoteAddress);
    }
    case "header":
      return compileHeader(principal.header);
    default:
      return unreachable(principal);
  }
}

function every(matchers: readonly Matcher[]): Matcher {
  const [first, second] = matchers;
  if (first === undefined) return always;
  if (second === undefined) return first;
  if (matchers.length === 2) return (subject) => first(subject) && second(subject);
  return (subject) => matchers.every((matcher) => matcher(subject));
}

function some(matchers: readonly Matcher[]): Matcher {
  const [first] = matchers;
  if (first !== undefined && matchers.length === 1) return first;
  return (subject) => matchers.some((matcher) => matcher(subject));
}

function not(matcher: Matcher): Matcher {
  return (subject) => !matcher(subject);
}

/** As it is written, escapes and all: what Envoy compares and hashes. The first of several; empty without a `=`. */
export function queryParameter(query: string, name: string): string | undefined {
  if (query === "") return undefined;
  for (const pair of query.slice(1).split("&")) {
    const equals = pair.indexOf("=");
    if ((equals < 0 ? pair : pair.slice(0, equals)) !== name) continue;
    return equals < 0 ? "" : pair.slice(equals + 1);
  }
  return undefined;
}
