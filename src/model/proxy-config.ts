/**
 * The configuration of one sidecar: listener → filter chain → route → cluster → endpoint.
 *
 * This is the part of Envoy's v3 vocabulary that Heddle speaks, as TypeScript unions. `core/mesh` makes it,
 * `wire/xds` turns it into the standard protobuf resources and back, `proxy` runs it; whatever cannot be said here
 * cannot be configured. Durations are milliseconds. Names of listeners, routes and clusters are Istio's, because
 * people know them from `proxy-config` and from metrics (`outbound|9080|v1|reviews.default.svc.cluster.local`).
 *
 * It is one vocabulary in parts (proxy-config/), and everybody takes its words from here.
 */

import type { Cluster } from "./proxy-config/cluster.ts";
import type { ClusterEndpoints, WorkloadLabels } from "./proxy-config/endpoints.ts";
import type { Listener } from "./proxy-config/listener.ts";
import type { RouteConfig } from "./proxy-config/route.ts";

export type * from "./proxy-config/authorization.ts";
export type * from "./proxy-config/cluster.ts";
export type * from "./proxy-config/endpoints.ts";
export type * from "./proxy-config/health.ts";
export type * from "./proxy-config/listener.ts";
export type * from "./proxy-config/match.ts";
export type * from "./proxy-config/route.ts";
export type * from "./proxy-config/subsets.ts";
export type * from "./proxy-config/telemetry.ts";

/** The resources of one proxy, by xDS type. Each list is sorted by name. */
export interface ProxyConfig {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfig[];
  readonly clusters: readonly Cluster[];
  readonly endpoints: readonly ClusterEndpoints[];
  /** What users keep in Secrets, for gateways and for TLS to outside; the mesh's own come from the node. */
  readonly secrets?: readonly Secret[];
}

/** Delivered by SDS: the private key never leaves the node. PEM throughout. */
export type Secret =
  | {
      readonly kind: "certificate";
      readonly name: string;
      readonly chain: string;
      readonly key: string;
    }
  | { readonly kind: "validation"; readonly name: string; readonly roots: string };

/** Who a proxy is; sent in its first request and used to compile and to authorise. */
export interface ProxyNode {
  /**
   * Of a gateway `router~…`, of a sidecar `sidecar~<pod ip>~<pod>.<namespace>~<namespace>.svc.cluster.local`, Istio's
   * form.
   */
  readonly id: string;
  readonly namespace: string;
  readonly pod: string;
  readonly address: string;
  readonly workload: WorkloadLabels;
}
