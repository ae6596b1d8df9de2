/** networking.istio.io/v1: what sidecars of a namespace, or of some of its pods, get. */

import type { Resource } from "../resource.ts";

export interface Sidecar extends Resource {
  readonly kind: "Sidecar";
  readonly spec: SidecarSpec;
}

export interface SidecarSpec {
  /** Absent: all pods of the namespace. */
  readonly workloadSelector?: { readonly labels?: Readonly<Record<string, string>> };
  /** Absent or empty: everything that is visible. */
  readonly egress?: readonly SidecarEgress[];
  readonly ingress?: readonly SidecarIngress[];
  /** In the place of the mesh's. Without a mode it is `REGISTRY_ONLY`, as the API's default has it. */
  readonly outboundTrafficPolicy?: {
    readonly mode?: "REGISTRY_ONLY" | "ALLOW_ANY";
    readonly egressProxy?: unknown;
  };
  readonly inboundConnectionPool?: { readonly http?: unknown };
}

export interface SidecarEgress {
  /** Absent: every port that no other entry names. */
  readonly port?: SidecarPort;
  readonly bind?: string;
  readonly captureMode?: "DEFAULT" | "IPTABLES" | "NONE";
  /** `namespace/host`, both may be `*`, `.` is the own namespace, `~` none; `~namespace/host` takes out again. */
  readonly hosts: readonly string[];
}

export interface SidecarIngress {
  readonly port: SidecarPort;
  readonly bind?: string;
  readonly captureMode?: "DEFAULT" | "IPTABLES" | "NONE";
  readonly defaultEndpoint?: string;
  readonly tls?: Readonly<Record<string, unknown>>;
  readonly connectionPool?: { readonly http?: unknown };
}

export interface SidecarPort {
  readonly number?: number;
  readonly name?: string;
  readonly protocol?: string;
}
