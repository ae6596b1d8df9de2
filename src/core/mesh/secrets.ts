/**
 * What users keep in Secrets, as the proxies that need it get it: certificates with their keys, and trusted roots.
 *
 * Configuration names them (`kubernetes://namespace/name`, and with `-cacert` for roots, as Istio does); which of them
 * a proxy gets is read from its finished configuration, so that no proxy gets one that it has no use for. Keys are
 * those of `kubernetes.io/tls` (`tls.crt`, `tls.key`, `ca.crt`) or Istio's older `cert`, `key`, `cacert`.
 *
 * Not here: whether the PEM in them is any good. The proxy finds out, and closes what depends on it.
 */

import type { Secret as SecretObject } from "../../api/k8s/core.ts";
import { textOfBase64 } from "../../base/base64.ts";
import type { ProxyConfig, Secret } from "../../model/proxy-config.ts";
import { objectNamed, type World } from "../registry/world.ts";

const scheme = "kubernetes://";
const caSuffix = "-cacert";

export function secretName(namespace: string, name: string): string {
  return `${scheme}${namespace}/${name}`;
}

export function caSecretName(namespace: string, name: string): string {
  return `${secretName(namespace, name)}${caSuffix}`;
}

/** Everything of users' own that the configuration names and that is there, sorted by name. */
export function usersSecrets(
  world: World,
  config: Pick<ProxyConfig, "listeners" | "clusters">,
): readonly Secret[] {
  const found = new Map<string, Secret>();
  for (const name of namesIn(config)) {
    const secret = found.get(name) ?? readSecret(world, name);
    if (secret !== undefined) found.set(name, secret);
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Undefined: there is no such Secret, or it does not have what the name asks for. */
export function readSecret(world: World, name: string): Secret | undefined {
  const [namespace = "", last = ""] = name.slice(scheme.length).split("/");
  if (last.endsWith(caSuffix)) {
    const plain = last.slice(0, -caSuffix.length);
    // Istio's: roots in a Secret of their own come before those beside the certificate.
    const roots =
      firstOf(world, namespace, last, ["cacert", "ca.crt"]) ??
      firstOf(world, namespace, plain, ["cacert", "ca.crt"]);
    return roots === undefined ? undefined : { kind: "validation", name, roots };
  }
  const chain = firstOf(world, namespace, last, ["tls.crt", "cert"]);
  const key = firstOf(world, namespace, last, ["tls.key", "key"]);
  if (chain === undefined || key === undefined) return undefined;
  return { kind: "certificate", name, chain, key };
}

function firstOf(
  world: World,
  namespace: string,
  name: string,
  keys: readonly string[],
): string | undefined {
  const object = objectNamed<SecretObject>(world, "Secret", namespace, name);
  for (const key of keys) {
    const value = object?.data?.[key];
    if (value !== undefined) return textOfBase64(value);
    const plain = object?.stringData?.[key];
    if (plain !== undefined) return plain;
  }
  return undefined;
}

function namesIn({ listeners, clusters }: Pick<ProxyConfig, "listeners" | "clusters">): string[] {
  const names = [
    ...listeners.flatMap(({ filterChains }) =>
      filterChains.flatMap(({ tls }) => [tls?.certificate, tls?.validation]),
    ),
    ...clusters.flatMap(({ originate }) => [
      originate?.certificate,
      originate?.trust.kind === "secret" ? originate.trust.name : undefined,
    ]),
  ];
  return names.filter((name): name is string => name?.startsWith(scheme) === true);
}
