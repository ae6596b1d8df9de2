/**
 * Values of an AuthorizationPolicy as matches.
 *
 * `*` is presence, a leading or trailing asterisk a suffix or prefix; elsewhere it is a character like any other.
 * Namespaces and service accounts are parts of the peer's SPIFFE id and become regular expressions over it, Istio's.
 */

import { hostCidr, parseCidr, renderCidr } from "../../base/ip.ts";
import type { StringMatch } from "../../model/proxy-config.ts";

export function textMatch(value: string): StringMatch {
  if (value === "*") return { kind: "present" };
  if (value.startsWith("*")) return { kind: "suffix", value: value.slice(1) };
  if (value.endsWith("*")) return { kind: "prefix", value: value.slice(0, -1) };
  return { kind: "exact", value };
}

/** Hosts compare without regard to case. */
export function hostMatch(value: string): StringMatch {
  if (value === "*") return { kind: "present" };
  if (value.startsWith("*")) return anyCase(`.*${escaped(value.slice(1))}`);
  if (value.endsWith("*")) return anyCase(`${escaped(value.slice(0, -1))}.*`);
  return anyCase(escaped(value));
}

/** `{*}` is one path segment, `{**}` any number of them. */
export function pathMatch(value: string): StringMatch {
  if (!/\{\*\*?\}/.test(value)) return textMatch(value);
  const parts = value.split(/(\{\*\*?\})/).map((part) => {
    if (part === "{*}") return "[^/]+";
    return part === "{**}" ? ".*" : escaped(part);
  });
  return { kind: "regex", value: parts.join("") };
}

export function namespaceMatch(value: string): StringMatch {
  return { kind: "regex", value: `.*/ns/${value.split("*").map(escaped).join(".*")}/.*` };
}

/** `account` of the policy's own namespace, or `namespace/account`. */
export function accountMatch(value: string, policyNamespace: string): StringMatch {
  const slash = value.indexOf("/");
  const namespace = slash < 0 ? policyNamespace : value.slice(0, slash);
  const account = value.slice(slash + 1);
  return { kind: "regex", value: `.+/ns/${escaped(namespace)}/sa/${escaped(account)}` };
}

export function isRange(value: string): boolean {
  try {
    parseCidr(cidrOf(value));
    return true;
  } catch {
    return false;
  }
}

/** `value`: a range, or an address alone, of either family. */
export function cidrOf(value: string): string {
  return value.includes("/") ? value : renderCidr(hostCidr(value));
}

function anyCase(regex: string): StringMatch {
  return { kind: "regex", value: `(?i)${regex}` };
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
