/**
 * Matches, evaluated one request at a time: the meaning of a configuration written as plainly as possible.
 *
 * The proxy compiles the same matches to closures for speed; tests and explanations compare with this.
 */

import { cidrContains, isIp, parseCidr } from "../../base/ip.ts";
import type {
  HeaderMatch,
  Permission,
  Principal,
  Rbac,
  RouteMatch,
  StringMatch,
} from "../../model/proxy-config.ts";

/** A request, or a connection (without `method` and `path`), as matches see it. */
export interface Subject {
  readonly method?: string;
  /** Without the query. */
  readonly path?: string;
  /** Without the question mark. */
  readonly query?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly destinationPort: number;
  readonly sourceAddress?: string;
  /** The peer's SPIFFE id without its scheme; undefined where it did not prove one. */
  readonly principal?: string;
}

export function matchesRoute(match: RouteMatch, subject: Subject): boolean {
  return (
    subject.path !== undefined &&
    matchesPath(match, subject.path) &&
    match.headers.every((header) => matchesHeader(header, subject)) &&
    match.queryParameters.every(({ name, match }) => {
      const value = new Map(queryOf(subject)).get(name);
      return value !== undefined && matchesText(match, value);
    })
  );
}

export function matchesHeader(header: HeaderMatch, subject: Subject): boolean {
  const value = fieldOf(header.name, subject);
  return (value !== undefined && matchesText(header.match, value)) !== header.invert;
}

export function matchesText(match: StringMatch, value: string): boolean {
  switch (match.kind) {
    case "exact":
      return value === match.value;
    case "prefix":
      return value.startsWith(match.value);
    case "suffix":
      return value.endsWith(match.value);
    case "regex":
      return matchesRegex(match.value, value);
    case "present":
      return value !== "";
  }
}

/** The name of the policy that decides, or why none does. */
export function evaluateRbac(
  rbacs: readonly Rbac[],
  subject: Subject,
): { readonly verdict: "allow" | "deny"; readonly by?: string } {
  let allowedBy: string | undefined;
  for (const rbac of rbacs) {
    const hit = rbac.policies.find(
      (policy) =>
        policy.permissions.some((permission) => permits(permission, subject)) &&
        policy.principals.some((principal) => isPrincipal(principal, subject)),
    );
    if (rbac.action === "deny" && hit !== undefined) return { verdict: "deny", by: hit.name };
    if (rbac.action === "allow" && hit === undefined) return { verdict: "deny" };
    if (rbac.action === "allow") allowedBy = hit?.name;
  }
  return { verdict: "allow", ...(allowedBy === undefined ? {} : { by: allowedBy }) };
}

function permits(permission: Permission, subject: Subject): boolean {
  switch (permission.kind) {
    case "any":
      return true;
    case "and":
      return permission.of.every((part) => permits(part, subject));
    case "or":
      return permission.of.some((part) => permits(part, subject));
    case "not":
      return !permits(permission.of, subject);
    case "destination-port":
      return subject.destinationPort === permission.port;
    case "path":
      return subject.path !== undefined && matchesText(permission.match, subject.path);
    case "header":
      return matchesHeader(permission.header, subject);
  }
}

function isPrincipal(principal: Principal, subject: Subject): boolean {
  switch (principal.kind) {
    case "any":
      return true;
    case "and":
      return principal.of.every((part) => isPrincipal(part, subject));
    case "or":
      return principal.of.some((part) => isPrincipal(part, subject));
    case "not":
      return !isPrincipal(principal.of, subject);
    case "authenticated":
      return subject.principal !== undefined && matchesText(principal.match, subject.principal);
    case "source-ip":
      return (
        subject.sourceAddress !== undefined &&
        cidrContains(parseCidr(principal.cidr), subject.sourceAddress)
      );
    case "remote-ip": {
      const address = remoteAddress(subject);
      return address !== undefined && cidrContains(parseCidr(principal.cidr), address);
    }
    case "header":
      return matchesHeader(principal.header, subject);
  }
}

/** What is said last in X-Forwarded-For, where that is an address. */
function remoteAddress({ headers, sourceAddress }: Subject): string | undefined {
  const said = headers?.["x-forwarded-for"]?.split(",").at(-1)?.trim();
  return said !== undefined && isIp(said) ? said : sourceAddress;
}

function matchesPath({ path, ignoreCase }: RouteMatch, given: string): boolean {
  const fold = (text: string): string => (ignoreCase === true ? text.toLowerCase() : text);
  switch (path.kind) {
    case "prefix":
      return fold(given).startsWith(fold(path.value));
    case "exact":
      return fold(given) === fold(path.value);
    case "regex":
      return matchesRegex(path.value, given); // Envoy's: whatever the case of others
  }
}

/** RE2's syntax, anchored at both ends. */
function matchesRegex(regex: string, value: string): boolean {
  const foldsCase = regex.startsWith("(?i)");
  const body = foldsCase ? regex.slice("(?i)".length) : regex;
  return new RegExp(`^(?:${body})$`, foldsCase ? "is" : "s").test(value);
}

function fieldOf(name: string, subject: Subject): string | undefined {
  switch (name) {
    case ":method":
      return subject.method;
    case ":authority":
      return subject.host;
    case ":scheme":
      return subject.path === undefined ? undefined : schemeOf(subject);
    case ":path":
      return subject.path;
    default:
      return subject.headers?.[name.toLowerCase()];
  }
}

/** What a proxy before it says; else how it came. */
function schemeOf({ headers, principal }: Subject): "http" | "https" {
  const said = headers?.["x-forwarded-proto"]?.toLowerCase();
  if (said === "http" || said === "https") return said;
  return principal === undefined ? "http" : "https";
}

function queryOf(subject: Subject): readonly (readonly [string, string])[] {
  return (subject.query ?? "")
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      return equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
    });
}
