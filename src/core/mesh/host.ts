/**
 * Hosts as Istio's objects write them.
 *
 * A name without a dot is short for a Service of the object's own namespace; every other name is taken as it is, also
 * `cart.shop`, which Istio does not complete either.
 */

import { serviceHost } from "../../model/names.ts";

export function resolveHost(host: string, namespace: string): string {
  return host.includes(".") || host === "*" ? host : serviceHost(namespace, host);
}

/** `*` and `*.suffix` match; the asterisk stands for at least one character. */
export function hostMatches(pattern: string, host: string): boolean {
  if (pattern === "*") return true;
  if (!pattern.startsWith("*")) return pattern === host;
  const suffix = pattern.slice(1);
  return host.length > suffix.length && host.endsWith(suffix);
}

/** The most specific of the patterns that match: the host itself, else the longest wildcard. The first of equals. */
export function mostSpecific<T>(
  candidates: readonly T[],
  patternOf: (candidate: T) => string,
  host: string,
): T | undefined {
  let best: T | undefined;
  let bestLength = -1;
  for (const candidate of candidates) {
    const pattern = patternOf(candidate);
    if (pattern === host) return candidate;
    if (hostMatches(pattern, host) && pattern.length > bestLength) {
      best = candidate;
      bestLength = pattern.length;
    }
  }
  return best;
}
