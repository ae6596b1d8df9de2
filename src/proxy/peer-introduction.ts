/**
 * How the destination's sidecar learns which workload calls it.
 *
 * The certificate says namespace and service account; Istio's metrics also want workload, app and version. The calling
 * sidecar says them in one field of the first request on each mutual TLS connection; the called one takes the field
 * out, believes it only beside a verified certificate, and remembers it for the connection. So it costs nothing per
 * request, never reaches an application, and whoever lies mislabels only requests that carry his own principal. (Istio
 * sends `x-envoy-peer-metadata` with every request.)
 */

import type { WorkloadLabels } from "../model/proxy-config.ts";

const field = "x-heddle-peer";

/** The field line, CRLF included. */
export function introduce(labels: WorkloadLabels): string {
  const parts = [labels.namespace, labels.workload, labels.app, labels.version];
  return `${field}: ${parts.map(encodeURIComponent).join("/")}\r\n`;
}

/** What the field says, joined with what the certificate says. Undefined when it cannot be read. */
export function readIntroduction(value: string, principal: string): WorkloadLabels | undefined {
  const parts = value.split("/");
  if (parts.length !== 4 || value.length > 1024) return undefined;
  try {
    const [, workload = "", app = "", version = ""] = parts.map(decodeURIComponent);
    const { namespace, serviceAccount } = splitPrincipal(principal);
    return { namespace, workload, app, version, serviceAccount };
  } catch {
    return undefined; // an escape that is none
  }
}

/** `cluster.local/ns/shop/sa/web` → shop, web. */
export function splitPrincipal(principal: string): {
  readonly namespace: string;
  readonly serviceAccount: string;
} {
  const parts = principal.split("/");
  return { namespace: parts[2] ?? "", serviceAccount: parts[4] ?? "" };
}
