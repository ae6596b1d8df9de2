/** Names that several parts of the mesh's configuration must agree on; Istio's, where it has them. */

import { serviceHost } from "../../model/names.ts";

export const passthroughCluster = "PassthroughCluster";
export const blackHoleCluster = "BlackHoleCluster";
export const inboundPassthroughCluster = "InboundPassthroughCluster";

export const certificateSecret = "default";
export const validationSecret = "ROOTCA";

export { meshAlpn } from "../../model/names.ts";

/** What Istio's sidecars, old and new, offer each other for HTTP, and for bytes that may be anything. */
export const meshHttpAlpn: readonly string[] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
export const meshBytesAlpn: readonly string[] = ["istio-peer-exchange", "istio"];
export const allMeshAlpn: readonly string[] = [...meshBytesAlpn, ...meshHttpAlpn];

/** `outbound|9080|v1|reviews.default.svc.cluster.local`. */
export function outboundCluster(port: number, subset: string | undefined, host: string): string {
  return `outbound|${port}|${subset ?? ""}|${host}`;
}

export function inboundCluster(port: number): string {
  return `inbound|${port}||`;
}

/** Server name in mesh TLS: `outbound_.9080_.v1_.reviews.default.svc.cluster.local`. */
export function meshServerName(port: number, subset: string | undefined, host: string): string {
  return `outbound_.${port}_.${subset ?? ""}_.${host}`;
}

/** The host that such a name is of; undefined: it is another name. */
export function hostOfServerName(name: string): string | undefined {
  return /^outbound_\.\d+_\.[^.]*_\.(.+)$/.exec(name)?.[1];
}

/**
 * The name of one endpoint of a headless Service: its own where it has one, else its address, dashed as DNS writes it.
 */
export function endpointHost(
  service: { readonly namespace: string; readonly name: string },
  endpoint: { readonly address: string; readonly hostname?: string },
): string {
  const label = endpoint.hostname ?? endpoint.address.replaceAll(".", "-");
  return `${label}.${serviceHost(service.namespace, service.name)}`;
}
