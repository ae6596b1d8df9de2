/**
 * Authorization rules, for connections and for requests alike.
 *
 * The model writes principals as AuthorizationPolicy does, without `spiffe://`; on the wire they carry it, because
 * Envoy compares with the certificate's URI. Source addresses are the connection's own (`direct_remote_ip`), remote ones
 * those of X-Forwarded-For (`remote_ip`).
 */

import type { Permission, Principal, Rbac, StringMatch } from "../../model/proxy-config.ts";
import { invalid } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { RbacAction } from "./gen/messages.ts";
import { decodePrefix, encodePrefix } from "./prefix.ts";
import {
  decodeHeaderMatches,
  decodeStringMatch,
  encodeHeaderMatch,
  encodeStringMatch,
} from "./string-match.ts";

const scheme = "spiffe://";

export function encodeRbac(rbac: Rbac): wire.Rbac {
  return {
    action: rbac.action === "deny" ? RbacAction.DENY : RbacAction.ALLOW,
    policies: Object.fromEntries(
      rbac.policies.map((policy) => [
        policy.name,
        {
          permissions: policy.permissions.map(encodePermission),
          principals: policy.principals.map(encodePrincipal),
        },
      ]),
    ),
  };
}

export function decodeRbac(rbac: wire.Rbac | undefined, path: string): Rbac {
  if (rbac === undefined) throw invalid(path, "is missing");
  const action = rbac.action ?? RbacAction.ALLOW;
  if (action !== RbacAction.ALLOW && action !== RbacAction.DENY) {
    throw invalid(`${path}.action`, `want ALLOW or DENY, got ${action}`);
  }
  return {
    action: action === RbacAction.DENY ? "deny" : "allow",
    policies: Object.entries(rbac.policies ?? {}).map(([name, policy]) => ({
      name,
      permissions: (policy.permissions ?? []).map((permission, index) =>
        decodePermission(permission, `${path}.policies[${name}].permissions[${index}]`),
      ),
      principals: (policy.principals ?? []).map((principal, index) =>
        decodePrincipal(principal, `${path}.policies[${name}].principals[${index}]`),
      ),
    })),
  };
}

function encodePermission(permission: Permission): wire.Permission {
  switch (permission.kind) {
    case "any":
      return { any: true };
    case "and":
      return { andRules: { rules: permission.of.map(encodePermission) } };
    case "or":
      return { orRules: { rules: permission.of.map(encodePermission) } };
    case "not":
      return { notRule: encodePermission(permission.of) };
    case "destination-port":
      return { destinationPort: permission.port };
    case "path":
      return { urlPath: { path: encodeStringMatch(permission.match) } };
    case "header":
      return { header: encodeHeaderMatch(permission.header) };
  }
}

function decodePermission(permission: wire.Permission, path: string): Permission {
  const all = (set: wire.PermissionSet): Permission[] =>
    (set.rules ?? []).map((rule, index) => decodePermission(rule, `${path}.rules[${index}]`));
  if (permission.any === true) return { kind: "any" };
  if (permission.andRules !== undefined) return { kind: "and", of: all(permission.andRules) };
  if (permission.orRules !== undefined) return { kind: "or", of: all(permission.orRules) };
  if (permission.notRule !== undefined) {
    return { kind: "not", of: decodePermission(permission.notRule, `${path}.not_rule`) };
  }
  if (permission.destinationPort !== undefined) {
    return { kind: "destination-port", port: permission.destinationPort };
  }
  if (permission.urlPath !== undefined) {
    return {
      kind: "path",
      match: decodeStringMatch(permission.urlPath.path, `${path}.url_path.path`),
    };
  }
  if (permission.header !== undefined) {
    return decodeHeader(permission.header, `${path}.header`);
  }
  // A rule that is not understood must never turn into one that matches less (deny) or more (allow).
  throw invalid(path, "is of a kind that is not supported");
}

function encodePrincipal(principal: Principal): wire.Principal {
  switch (principal.kind) {
    case "any":
      return { any: true };
    case "and":
      return { andIds: { ids: principal.of.map(encodePrincipal) } };
    case "or":
      return { orIds: { ids: principal.of.map(encodePrincipal) } };
    case "not":
      return { notId: encodePrincipal(principal.of) };
    case "authenticated":
      return {
        authenticated: { principalName: encodeStringMatch(withScheme(principal.match)) },
      };
    case "source-ip":
      return { directRemoteIp: encodePrefix(principal.cidr) };
    case "remote-ip":
      return { remoteIp: encodePrefix(principal.cidr) };
    case "header":
      return { header: encodeHeaderMatch(principal.header) };
  }
}

function decodePrincipal(principal: wire.Principal, path: string): Principal {
  const all = (set: wire.PrincipalSet): Principal[] =>
    (set.ids ?? []).map((id, index) => decodePrincipal(id, `${path}.ids[${index}]`));
  if (principal.any === true) return { kind: "any" };
  if (principal.andIds !== undefined) return { kind: "and", of: all(principal.andIds) };
  if (principal.orIds !== undefined) return { kind: "or", of: all(principal.orIds) };
  if (principal.notId !== undefined) {
    return { kind: "not", of: decodePrincipal(principal.notId, `${path}.not_id`) };
  }
  if (principal.authenticated !== undefined) {
    const name = principal.authenticated.principalName;
    // Envoy: without a name, any authenticated peer.
    if (name === undefined) return { kind: "authenticated", match: { kind: "present" } };
    const match = decodeStringMatch(name, `${path}.authenticated.principal_name`);
    return { kind: "authenticated", match: withoutScheme(match) };
  }
  if (principal.directRemoteIp !== undefined) {
    return {
      kind: "source-ip",
      cidr: decodePrefix(principal.directRemoteIp, `${path}.direct_remote_ip`),
    };
  }
  if (principal.remoteIp !== undefined) {
    return { kind: "remote-ip", cidr: decodePrefix(principal.remoteIp, `${path}.remote_ip`) };
  }
  if (principal.header !== undefined) {
    return decodeHeader(principal.header, `${path}.header`);
  }
  throw invalid(path, "is of a kind that is not supported");
}

function withScheme(match: StringMatch): StringMatch {
  switch (match.kind) {
    case "exact":
    case "prefix":
      return { kind: match.kind, value: scheme + match.value };
    case "regex":
      return { kind: "regex", value: `${scheme}(?:${match.value})` };
    default:
      return match;
  }
}

function withoutScheme(match: StringMatch): StringMatch {
  switch (match.kind) {
    case "exact":
    case "prefix":
      return match.value.startsWith(scheme)
        ? { kind: match.kind, value: match.value.slice(scheme.length) }
        : match;
    case "regex": {
      const ours = /^spiffe:\/\/\(\?:(.*)\)$/s.exec(match.value);
      return ours === null
        ? { kind: "regex", value: match.value.replace(/^spiffe:\/\//, "") }
        : { kind: "regex", value: ours[1] ?? "" };
    }
    default:
      return match;
  }
}

type HeaderRule = Extract<Permission & Principal, { kind: "header" }>;

function decodeHeader(
  matcher: wire.HeaderMatcher,
  path: string,
): HeaderRule | { readonly kind: "and"; readonly of: readonly HeaderRule[] } {
  const of = decodeHeaderMatches(matcher, path).map((header) => ({
    kind: "header" as const,
    header,
  }));
  const [only, ...others] = of;
  return only !== undefined && others.length === 0 ? only : { kind: "and", of };
}
