/** security.istio.io/v1: who may call what, and whether in the clear. */

import type { Resource } from "../resource.ts";

export interface WorkloadSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
}

export interface PeerAuthentication extends Resource {
  readonly kind: "PeerAuthentication";
  readonly spec?: {
    readonly selector?: WorkloadSelector;
    readonly mtls?: { readonly mode?: MtlsMode };
    readonly portLevelMtls?: Readonly<Record<string, { readonly mode?: MtlsMode }>>;
  };
}

export type MtlsMode = "UNSET" | "DISABLE" | "PERMISSIVE" | "STRICT";

export interface AuthorizationPolicy extends Resource {
  readonly kind: "AuthorizationPolicy";
  readonly spec?: {
    readonly selector?: WorkloadSelector;
    readonly targetRef?: unknown;
    readonly targetRefs?: readonly unknown[];
    /** Absent means ALLOW. */
    readonly action?: "ALLOW" | "DENY" | "AUDIT" | "CUSTOM";
    /** ALLOW with none matches nothing: deny all. */
    readonly rules?: readonly AuthorizationRule[];
  };
}

export interface AuthorizationRule {
  readonly from?: readonly { readonly source: AuthorizationSource }[];
  readonly to?: readonly { readonly operation: AuthorizationOperation }[];
  readonly when?: readonly {
    readonly key: string;
    readonly values?: readonly string[];
    readonly notValues?: readonly string[];
  }[];
}

export interface AuthorizationSource {
  readonly principals?: readonly string[];
  readonly notPrincipals?: readonly string[];
  readonly namespaces?: readonly string[];
  readonly notNamespaces?: readonly string[];
  readonly serviceAccounts?: readonly string[];
  readonly notServiceAccounts?: readonly string[];
  readonly ipBlocks?: readonly string[];
  readonly notIpBlocks?: readonly string[];
}

export interface AuthorizationOperation {
  readonly hosts?: readonly string[];
  readonly notHosts?: readonly string[];
  readonly ports?: readonly string[];
  readonly notPorts?: readonly string[];
  readonly methods?: readonly string[];
  readonly notMethods?: readonly string[];
  readonly paths?: readonly string[];
  readonly notPaths?: readonly string[];
}
