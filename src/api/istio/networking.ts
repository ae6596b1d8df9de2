/** networking.istio.io/v1: the fields that Heddle acts on so far; JSON names, durations as text (`1.5s`). */

import type { Resource } from "../resource.ts";

export interface VirtualService extends Resource {
  readonly kind: "VirtualService";
  readonly spec: {
    readonly hosts?: readonly string[];
    /** Absent means `["mesh"]`. */
    readonly gateways?: readonly string[];
    readonly exportTo?: readonly string[];
    readonly http?: readonly HttpRoute[];
    readonly tcp?: readonly TcpRoute[];
    readonly tls?: readonly TcpRoute[];
  };
}

export interface HttpRoute {
  readonly name?: string;
  readonly match?: readonly HttpMatchRequest[];
  readonly route?: readonly HttpRouteDestination[];
  readonly redirect?: {
    readonly uri?: string;
    readonly prefixRewrite?: string;
    readonly authority?: string;
    readonly scheme?: string;
    readonly port?: number;
    readonly derivePort?: "FROM_PROTOCOL_DEFAULT" | "FROM_REQUEST_PORT";
    readonly redirectCode?: number;
  };
  readonly directResponse?: {
    readonly status: number;
    readonly body?: {
      readonly string?: string;
      /** Base64. */
      readonly bytes?: string;
    };
  };
  /** The VirtualService whose rules hold for these requests; without a namespace, one of this one's. */
  readonly delegate?: { readonly name?: string; readonly namespace?: string };
  readonly rewrite?: {
    readonly uri?: string;
    readonly authority?: string;
    readonly uriRegexRewrite?: { readonly match?: string; readonly rewrite?: string };
  };
  readonly timeout?: string;
  readonly retries?: {
    readonly attempts?: number;
    readonly perTryTimeout?: string;
    readonly retryOn?: string;
    readonly backoff?: string;
    /** Absent means true. */
    readonly retryIgnorePreviousHosts?: boolean;
    readonly retryRemoteLocalities?: boolean;
  };
  readonly corsPolicy?: CorsPolicy;
  readonly mirror?: Destination;
  readonly mirrorPercentage?: { readonly value?: number };
  /** Deprecated, under both names: `mirrorPercentage`. */
  readonly mirrorPercent?: number;
  readonly mirror_percent?: number;
  readonly mirrors?: readonly {
    readonly destination: Destination;
    readonly percentage?: { readonly value?: number };
  }[];
  readonly fault?: {
    readonly delay?: {
      readonly percentage?: { readonly value?: number };
      readonly percent?: number;
      readonly fixedDelay?: string;
    };
    readonly abort?: {
      readonly percentage?: { readonly value?: number };
      readonly percent?: number;
      readonly httpStatus?: number;
      /** By name: `UNAVAILABLE`. */
      readonly grpcStatus?: string;
    };
  };
  readonly headers?: { readonly request?: HeaderOperations; readonly response?: HeaderOperations };
}

export interface CorsPolicy {
  /** Deprecated: exact origins. */
  readonly allowOrigin?: readonly string[];
  readonly allowOrigins?: readonly StringMatch[];
  readonly allowMethods?: readonly string[];
  readonly allowHeaders?: readonly string[];
  readonly exposeHeaders?: readonly string[];
  readonly maxAge?: string;
  readonly allowCredentials?: boolean;
  readonly unmatchedPreflights?: "UNSPECIFIED" | "FORWARD" | "IGNORE";
}

export interface HeaderOperations {
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
}

/** Fields of one request match are a conjunction; the list of them a disjunction. */
export interface HttpMatchRequest {
  readonly name?: string;
  readonly uri?: StringMatch;
  readonly scheme?: StringMatch;
  readonly method?: StringMatch;
  readonly authority?: StringMatch;
  readonly headers?: Readonly<Record<string, StringMatch>>;
  readonly withoutHeaders?: Readonly<Record<string, StringMatch>>;
  readonly queryParams?: Readonly<Record<string, StringMatch>>;
  readonly ignoreUriCase?: boolean;
  readonly port?: number;
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
  readonly gateways?: readonly string[];
}

/** Exactly one of the fields; an empty object means: present. */
export interface StringMatch {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}

export interface Destination {
  readonly host: string;
  readonly subset?: string;
  readonly port?: { readonly number?: number };
}

export interface HttpRouteDestination {
  readonly destination: Destination;
  readonly weight?: number;
  readonly headers?: { readonly request?: HeaderOperations; readonly response?: HeaderOperations };
}

/** Of `tcp` (by port) and of `tls` (TLS that is not opened here, by the name that it asks for). */
export interface TcpRoute {
  readonly match?: readonly {
    /** Of `tls` only. */
    readonly sniHosts?: readonly string[];
    readonly port?: number;
    readonly sourceLabels?: Readonly<Record<string, string>>;
    readonly sourceNamespace?: string;
    readonly gateways?: readonly string[];
  }[];
  readonly route?: readonly { readonly destination: Destination; readonly weight?: number }[];
}

export interface Gateway extends Resource {
  readonly kind: "Gateway";
  readonly spec: {
    /** Labels of the pods that are this gateway; empty: all gateways. */
    readonly selector?: Readonly<Record<string, string>>;
    readonly servers?: readonly GatewayServer[];
  };
}

export interface GatewayServer {
  readonly port: { readonly number: number; readonly name: string; readonly protocol: string };
  /** `host`, `namespace/host`, `./host` or `*` + `/host`; the namespace says whose VirtualServices may bind. */
  readonly hosts: readonly string[];
  readonly name?: string;
  readonly tls?: ServerTls;
}

export interface ServerTls {
  readonly httpsRedirect?: boolean;
  readonly mode?:
    | "PASSTHROUGH"
    | "SIMPLE"
    | "MUTUAL"
    | "OPTIONAL_MUTUAL"
    | "ISTIO_MUTUAL"
    | "AUTO_PASSTHROUGH";
  readonly credentialName?: string;
  readonly serverCertificate?: string;
  readonly privateKey?: string;
  readonly caCertificates?: string;
  /** The Secret with the roots for clients' certificates, where that is not the certificate's. */
  readonly caCertCredentialName?: string;
  readonly subjectAltNames?: readonly string[];
  readonly minProtocolVersion?: string;
  readonly maxProtocolVersion?: string;
  readonly verifyCertificateSpki?: readonly string[];
  readonly verifyCertificateHash?: readonly string[];
}

export interface DestinationRule extends Resource {
  readonly kind: "DestinationRule";
  readonly spec: {
    readonly host: string;
    readonly trafficPolicy?: TrafficPolicy;
    /** Clients of the rule's own namespace that it is for; absent: everybody. */
    readonly workloadSelector?: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly subsets?: readonly {
      readonly name: string;
      readonly labels?: Readonly<Record<string, string>>;
      readonly trafficPolicy?: TrafficPolicy;
    }[];
    readonly exportTo?: readonly string[];
  };
}

export interface TrafficPolicy {
  readonly loadBalancer?: LoadBalancer;
  readonly connectionPool?: {
    readonly tcp?: {
      readonly maxConnections?: number;
      readonly connectTimeout?: string;
      readonly idleTimeout?: string;
      readonly maxConnectionDuration?: string;
      readonly tcpKeepalive?: {
        readonly probes?: number;
        readonly time?: string;
        readonly interval?: string;
      };
    };
    readonly http?: {
      readonly http1MaxPendingRequests?: number;
      readonly http2MaxRequests?: number;
      readonly maxRetries?: number;
      readonly maxRequestsPerConnection?: number;
      readonly maxConcurrentStreams?: number;
      readonly idleTimeout?: string;
      readonly h2UpgradePolicy?: "DEFAULT" | "DO_NOT_UPGRADE" | "UPGRADE";
      readonly useClientProtocol?: boolean;
      readonly http2KeepAlive?: { readonly interval?: string; readonly timeout?: string };
    };
  };
  readonly proxyProtocol?: { readonly version?: "V1" | "V2" };
  readonly retryBudget?: { readonly percent?: number; readonly minRetryConcurrency?: number };
  readonly outlierDetection?: {
    readonly consecutive5xxErrors?: number;
    readonly consecutiveGatewayErrors?: number;
    readonly consecutiveLocalOriginFailures?: number;
    readonly splitExternalLocalOriginErrors?: boolean;
    readonly minHealthPercent?: number;
    readonly outlierDetectionHttpErrorCodes?: readonly number[];
    readonly interval?: string;
    readonly baseEjectionTime?: string;
    readonly maxEjectionPercent?: number;
  };
  readonly tls?: ClientTls;
  /** Settings of one port, in the place of all the others. */
  readonly portLevelSettings?: readonly (TrafficPolicy & {
    readonly port?: { readonly number?: number };
  })[];
}

export interface ClientTls {
  readonly mode?: "DISABLE" | "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL";
  readonly clientCertificate?: string;
  readonly privateKey?: string;
  readonly caCertificates?: string;
  readonly credentialName?: string;
  readonly subjectAltNames?: readonly string[];
  readonly sni?: string;
  readonly insecureSkipVerify?: boolean;
}

export interface LoadBalancer {
  readonly simple?: string;
  readonly consistentHash?: ConsistentHash;
  readonly localityLbSetting?: LocalityLbSetting;
  readonly warmup?: {
    readonly duration: string;
    readonly minimumPercent?: number;
    readonly aggression?: number;
  };
  /** Deprecated: `warmup.duration`. */
  readonly warmupDurationSecs?: string;
}

/** Percents by locality: `region/zone/subzone`, the last parts may be left out, `*` is any. */
export type LocalityShares = Readonly<Record<string, number>>;

export interface LocalityLbSetting {
  readonly enabled?: boolean;
  readonly distribute?: readonly { readonly from?: string; readonly to?: LocalityShares }[];
  /** Regions. */
  readonly failover?: readonly { readonly from?: string; readonly to?: string }[];
  readonly failoverPriority?: readonly string[];
}

/** One of the first four says what is hashed. */
export interface ConsistentHash {
  readonly httpHeaderName?: string;
  readonly httpCookie?: {
    readonly name: string;
    readonly path?: string;
    readonly ttl?: string;
    readonly attributes?: readonly { readonly name: string; readonly value?: string }[];
  };
  readonly useSourceIp?: boolean;
  readonly httpQueryParameterName?: string;
  readonly ringHash?: { readonly minimumRingSize?: number };
  readonly maglev?: { readonly tableSize?: number };
  /** Deprecated: `ringHash.minimumRingSize`. */
  readonly minimumRingSize?: number;
}
