/** Names, labels and hosts, as Kubernetes and Istio write them. */

import type { Check } from "./schema/check.ts";
import { mapOf } from "./schema/record.ts";
import { text } from "./schema/scalar.ts";

const label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const labelPattern = new RegExp(`^${label}$`);
const subdomainPattern = new RegExp(`^${label}(\\.${label})*$`);
const qualifiedPattern = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

const labelWords = "letters a-z, digits and -, at most 63, no - at either end";
const subdomainWords = "letters a-z, digits, - and ., at most 253, no - or . at either end";

export function isDnsLabel(value: string): boolean {
  return value.length <= 63 && labelPattern.test(value);
}

export function isDnsSubdomain(value: string): boolean {
  return value.length <= 253 && subdomainPattern.test(value);
}

/** RFC 1123 label: names of Services, namespaces, containers. */
export const dnsLabel: Check = text((value) =>
  isDnsLabel(value) ? undefined : `must be a DNS label (${labelWords})`,
);

/** RFC 1123 subdomain: names of most objects. */
export const dnsSubdomain: Check = text((value) =>
  isDnsSubdomain(value) ? undefined : `must be a DNS name (${subdomainWords})`,
);

/** `app`, `app.kubernetes.io/name`. */
export const labelKey: Check = text((value) => {
  const slash = value.indexOf("/");
  const name = value.slice(slash + 1);
  const prefixed = slash < 0 || isDnsSubdomain(value.slice(0, slash));
  return prefixed && name.length <= 63 && qualifiedPattern.test(name)
    ? undefined
    : "must be a label key: [DNS name/]letters, digits, -, _ and ., at most 63";
});

export const labelValue: Check = text((value) =>
  value === "" || (value.length <= 63 && qualifiedPattern.test(value))
    ? undefined
    : "must be a label value: letters, digits, -, _ and ., at most 63, alphanumeric at both ends",
);

export const labels: Check = mapOf(labelValue, labelKey);
export const annotations: Check = mapOf(text(), labelKey);

/** A port's name in a pod: what Services and policies refer to. */
export const portName: Check = text((value) =>
  value.length <= 15 && labelPattern.test(value) && /[a-z]/.test(value)
    ? undefined
    : "must be a port name: letters a-z, digits and -, at most 15, at least one letter",
);

/** A host of a mesh: a DNS name whose first label may be `*`. */
export const wildcardHost: Check = text((value) => {
  const rest = value === "*" ? "" : value.startsWith("*.") ? value.slice(2) : value;
  return rest === "" ? (value === "" ? wantedHost : undefined) : hostOr(rest);
});

/** A host that names one destination, by short or full name. */
export const plainHost: Check = text((value) => hostOr(value));

/** What is wrong with a host that names one destination; undefined where nothing is. */
export function hostProblem(value: string): string | undefined {
  return hostOr(value);
}

/** The same of a host whose first label may begin with `*` (`*.example.com`, `*-eu.example.com`). */
export function partialWildcardHost(value: string): string | undefined {
  return hostOr(value.replace(/^\*\.?/, ""));
}

const wantedHost = "must be a DNS name, * or *. and a DNS name";

function hostOr(value: string): string | undefined {
  // Istio lets hosts have capitals, a final dot, and underscores, which Services cannot have but external hosts do.
  const host = value.toLowerCase().replace(/\.$/, "");
  return host.length <= 255 &&
    /^[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*$/.test(host)
    ? undefined
    : wantedHost;
}
