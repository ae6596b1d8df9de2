/** networking.istio.io/v1: what is reached outside the containers, as Istio writes it. */

import type { Resource } from "../resource.ts";

export interface ServiceEntry extends Resource {
  readonly kind: "ServiceEntry";
  readonly spec: ServiceEntrySpec;
  readonly status?: {
    /** What hosts without an address of their own were given, one of each host. */
    readonly addresses?: readonly { readonly value: string; readonly host?: string }[];
  };
}

export interface ServiceEntrySpec {
  readonly hosts: readonly string[];
  /** Addresses and prefixes that connections to the hosts are recognised by. */
  readonly addresses?: readonly string[];
  readonly ports?: readonly ServiceEntryPort[];
  /** Absent means `MESH_EXTERNAL`. */
  readonly location?: "MESH_EXTERNAL" | "MESH_INTERNAL";
  /** Absent means `NONE`: to where the application wants to go. */
  readonly resolution?: Resolution;
  readonly endpoints?: readonly WorkloadEntrySpec[];
  /** In the place of `endpoints`: pods and WorkloadEntries of the namespace. */
  readonly workloadSelector?: { readonly labels?: Readonly<Record<string, string>> };
  readonly exportTo?: readonly string[];
  /** Names that servers' certificates must carry one of. */
  readonly subjectAltNames?: readonly string[];
}

export type Resolution = "NONE" | "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS";

export interface ServiceEntryPort {
  readonly number: number;
  readonly name: string;
  /** `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `TLS`, `TCP` …, in any case. */
  readonly protocol?: string;
  readonly targetPort?: number;
}

export interface WorkloadEntry extends Resource {
  readonly kind: "WorkloadEntry";
  readonly spec: WorkloadEntrySpec;
}

export interface WorkloadEntrySpec {
  /** An IP address, a DNS name, or `unix://` and a path. */
  readonly address?: string;
  /** By the names of the ports of whoever selects it. */
  readonly ports?: Readonly<Record<string, number>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly network?: string;
  /** `region/zone/subzone`. */
  readonly locality?: string;
  readonly weight?: number;
  readonly serviceAccount?: string;
}
