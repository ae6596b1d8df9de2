/**
 * TLS that is not the mesh's, towards a destination: what a DestinationRule says with SIMPLE and MUTUAL.
 *
 * Keys and roots are Secrets of the namespace whose proxies use them, by `credentialName`. Paths of files are refused:
 * a sidecar runs outside its pod and would read the node's files. What cannot be done is said, and the destination is
 * cut off: plain text where TLS was asked for would be worse than no answer.
 */

import type { ClientTls, TrafficPolicy } from "../../api/istio/networking.ts";
import type { OriginateTls } from "../../model/proxy-config.ts";
import type { MeshPort, MeshService } from "./mesh-service.ts";
import { caSecretName, secretName } from "./secrets.ts";

/** Whose proxies ask, and whose rule it is. */
export interface Asker {
  readonly namespace: string;
  readonly ruleNamespace: string;
}

/** What endpoints are spoken to in; `unable` says why it cannot be done. */
export type ClientSecurity =
  | { readonly kind: "auto" | "DISABLE" | "ISTIO_MUTUAL" }
  | { readonly kind: "originate"; readonly tls: OriginateTls }
  | { readonly kind: "unable"; readonly field: string; readonly reason: string };

export function clientSecurity(
  policy: TrafficPolicy | undefined,
  asker: Asker,
  service: MeshService,
  port: MeshPort,
): ClientSecurity {
  const tls = policy?.tls;
  switch (tls?.mode) {
    case undefined:
      return { kind: "auto" };
    case "DISABLE":
    case "ISTIO_MUTUAL":
      return { kind: tls.mode };
    case "SIMPLE":
    case "MUTUAL":
      return (
        problemOf(tls, asker) ?? { kind: "originate", tls: originate(tls, asker, service, port) }
      );
  }
}

function problemOf(tls: ClientTls, asker: Asker): ClientSecurity | undefined {
  const unable = (field: string, reason: string): ClientSecurity => ({
    kind: "unable",
    field,
    reason,
  });
  for (const field of ["clientCertificate", "privateKey", "caCertificates"] as const) {
    const path = tls[field];
    if (path === undefined || path === "" || (field === "caCertificates" && path === "system")) {
      continue;
    }
    return unable(
      field,
      `files are not read (${path}): put it into a Secret and name it with credentialName`,
    );
  }
  if (tls.credentialName !== undefined && asker.ruleNamespace !== asker.namespace) {
    const reason = `proxies of namespace ${asker.namespace} use Secrets of their own namespace only, and only where a rule there says so`;
    return unable("credentialName", reason);
  }
  return undefined;
}

function originate(
  tls: ClientTls,
  asker: Asker,
  service: MeshService,
  port: MeshPort,
): OriginateTls {
  const { credentialName: name, subjectAltNames = [] } = tls;
  const sni = tls.sni || service.host;
  return {
    ...(name === undefined || tls.mode !== "MUTUAL"
      ? {}
      : { certificate: secretName(asker.namespace, name) }),
    trust: trustOf(tls, asker),
    sni,
    alpn: port.protocol === "tcp" ? [] : ["h2", "http/1.1"],
    names: subjectAltNames.length > 0 ? subjectAltNames : (service.subjectAltNames ?? [sni]),
  };
}

function trustOf(tls: ClientTls, asker: Asker): OriginateTls["trust"] {
  if (tls.insecureSkipVerify === true) return { kind: "none" };
  const isPublic = tls.credentialName === undefined || tls.caCertificates === "system";
  if (isPublic) return { kind: "public" };
  return { kind: "secret", name: caSecretName(asker.namespace, tls.credentialName ?? "") };
}
