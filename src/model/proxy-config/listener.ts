/**
 * Where connections arrive, how they are told apart, and what ends TLS and carries on: listeners, filter chains,
 * filters.
 */

import type { Rbac } from "./authorization.ts";
import type { RateLimit, RouteConfig, WeightedCluster } from "./route.ts";
import type { Tracing } from "./telemetry.ts";

export type Direction = "inbound" | "outbound";

export interface Listener {
  readonly name: string;
  readonly direction: Direction;
  readonly address: string;
  readonly port: number;
  /**
   * False for listeners that only receive what `virtualOutbound` hands over: a connection whose original
   * destination is `address:port`, or `0.0.0.0:port` where no address matches.
   */
  readonly bindToPort: boolean;
  /** Connections begin with a PROXY header that says whose they are; `optional`: those without are taken, too. */
  readonly proxyProtocol?: "required" | "optional";
  /** True for the listener that captured connections arrive at. */
  readonly useOriginalDestination: boolean;
  readonly filterChains: readonly FilterChain[];
  /** Takes connections that no chain's match takes. Without it they are closed. */
  readonly defaultFilterChain?: FilterChain;
}

export interface FilterChain {
  readonly name: string;
  readonly match: FilterChainMatch;
  /** Terminates TLS before the filters run. */
  readonly tls?: DownstreamTls;
  /** L4 authorization, evaluated when the connection is accepted (after the TLS handshake). */
  readonly rbac: readonly Rbac[];
  readonly filter: NetworkFilter;
}

/**
 * All given fields must match; the most specific chain wins, in this order: port, destination, transport, server name,
 * ALPN.
 */
export interface FilterChainMatch {
  readonly destinationPort?: number;
  /** Prefixes, one of which the connection's original destination is in. */
  readonly destinations?: readonly string[];
  /** By the first bytes: a TLS ClientHello, or anything else. */
  readonly transport?: "tls" | "raw";
  /** What a ClientHello asks for (SNI): a name, or `*.suffix`. Goes with `transport: "tls"`. */
  readonly serverNames?: readonly string[];
  /** Detected (`http/1.1`) or negotiated (ALPN) protocols. */
  readonly applicationProtocols?: readonly string[];
}

/** How a chain terminates TLS. Secrets by name. */
export interface DownstreamTls {
  readonly requireClientCertificate: boolean;
  readonly alpn: readonly string[];
  readonly certificate: string;
  /** Roots that clients' certificates are judged by; absent: none is asked for. */
  readonly validation?: string;
  /**
   * Who may come. `mesh`: whoever has one SPIFFE URI of the trust domain, in TLS 1.3. `anyone`: in TLS 1.2, too, and a
   * certificate, where one is required, must carry one of the names, if there are any.
   */
  readonly clients:
    | { readonly kind: "mesh" }
    | {
        readonly kind: "anyone";
        readonly names: readonly string[];
        readonly leastVersion: TlsVersion;
        /** Absent: whatever is newest. */
        readonly mostVersion?: TlsVersion;
      };
}

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

export type NetworkFilter =
  | {
      readonly kind: "http";
      readonly statPrefix: string;
      readonly routes:
        | { readonly kind: "rds"; readonly name: string }
        | { readonly kind: "inline"; readonly config: RouteConfig };
      /** Calls of gRPC-Web become calls of gRPC, before anything else looks at them. */
      readonly translatesGrpcWeb?: boolean;
      /** L7 authorization in order of evaluation: deny before allow. */
      readonly rbac: readonly Rbac[];
      /** Of all requests together that authorization lets through. */
      readonly rateLimit?: RateLimit;
      /** Clients are not of the mesh: what they say of themselves in `x-forwarded-…` is replaced by what is known. */
      readonly isEdge?: boolean;
      /** So many proxies before an edge are believed: the last ones that stand in `x-forwarded-for`. */
      readonly trustedProxies?: number;
      /** Each request is a line in the sidecar's log. */
      readonly accessLog?: boolean;
      readonly tracing?: Tracing;
    }
  | {
      readonly kind: "tcp";
      readonly statPrefix: string;
      readonly clusters: readonly WeightedCluster[];
      readonly idleTimeoutMs?: number;
      /** Each connection is a line in the sidecar's log. */
      readonly accessLog?: boolean;
    };
