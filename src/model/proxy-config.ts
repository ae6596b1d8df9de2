/**
 * The configuration of one sidecar: listener → filter chain → route → cluster → endpoint.
 *
 * This is the part of Envoy's v3 vocabulary that Heddle speaks, as TypeScript unions. `core/mesh` makes it,
 * `wire/xds` turns it into the standard protobuf resources and back, `proxy` runs it; whatever cannot be said here
 * cannot be configured. Durations are milliseconds. Names of listeners, routes and clusters are Istio's, because
 * people know them from `proxy-config` and from metrics (`outbound|9080|v1|reviews.default.svc.cluster.local`).
 */

/** The resources of one proxy, by xDS type. Each list is sorted by name. */
export interface ProxyConfig {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfig[];
  readonly clusters: readonly Cluster[];
  readonly endpoints: readonly ClusterEndpoints[];
  /** What users keep in Secrets, for gateways and for TLS to outside; the mesh's own come from the node. */
  readonly secrets?: readonly Secret[];
}

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
      /** L7 authorization in order of evaluation: deny before allow. */
      readonly rbac: readonly Rbac[];
      /** Of all requests together that authorization lets through. */
      readonly rateLimit?: RateLimit;
      /** Clients are not of the mesh: what they say of themselves in `x-forwarded-…` is replaced by what is known. */
      readonly isEdge?: boolean;
    }
  | {
      readonly kind: "tcp";
      readonly statPrefix: string;
      readonly clusters: readonly WeightedCluster[];
      readonly idleTimeoutMs?: number;
    };

export interface RouteConfig {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
}

export interface VirtualHost {
  readonly name: string;
  /** Exact, `*.suffix`, `prefix.*` or `*`; most specific first match wins, ports included as Istio writes them. */
  readonly domains: readonly string[];
  /** First match wins. */
  readonly routes: readonly Route[];
}

export interface Route {
  /** The rule's own name, or the object it is from. */
  readonly name: string;
  /** `namespace/name` of the VirtualService that made it, for explain and access log; undefined for the default route. */
  readonly origin?: string;
  readonly match: RouteMatch;
  readonly action: RouteAction;
  readonly requestHeaders?: HeaderEdit;
  readonly responseHeaders?: HeaderEdit;
  readonly fault?: Fault;
  readonly cors?: Cors;
  /** Of answers, where the client takes that. Heddle's own: Envoy's is about a listener. */
  readonly compression?: Compression;
  /** Of the route's requests, in this proxy. */
  readonly rateLimit?: RateLimit;
}

export interface RouteMatch {
  readonly path: PathMatch;
  /** All must match. Pseudo-headers `:method`, `:authority`, `:scheme` may be named. */
  readonly headers: readonly HeaderMatch[];
  readonly queryParameters: readonly { readonly name: string; readonly match: StringMatch }[];
  readonly ignoreCase?: boolean;
}

export type PathMatch =
  | { readonly kind: "prefix"; readonly value: string }
  | { readonly kind: "exact"; readonly value: string }
  /** RE2 syntax, anchored at both ends. */
  | { readonly kind: "regex"; readonly value: string };

export type StringMatch =
  | { readonly kind: "exact"; readonly value: string }
  | { readonly kind: "prefix"; readonly value: string }
  | { readonly kind: "suffix"; readonly value: string }
  | { readonly kind: "regex"; readonly value: string }
  | { readonly kind: "present" };

export interface HeaderMatch {
  readonly name: string;
  readonly match: StringMatch;
  readonly invert: boolean;
}

export type RouteAction =
  | {
      readonly kind: "forward";
      /** At least one; weights are relative. */
      readonly clusters: readonly WeightedCluster[];
      /** 0: none. Covers all tries. */
      readonly timeoutMs: number;
      readonly retry?: RetryPolicy;
      /** Heddle's own: Envoy hedges on a per-try timeout only. */
      readonly hedge?: HedgePolicy;
      readonly prefixRewrite?: string;
      /** Replaces every match in the path; `\\1` … `\\9` are groups, `\\0` the match. RE2 syntax. */
      readonly regexRewrite?: { readonly pattern: string; readonly substitution: string };
      readonly hostRewrite?: string;
      /** What consistent hashing hashes; the first that the request has. */
      readonly hash?: readonly HashKey[];
      /** Who is sent copies of requests; nobody waits for their answers. */
      readonly mirrors?: readonly Mirror[];
    }
  | {
      readonly kind: "redirect";
      readonly status: number;
      readonly host?: string;
      readonly path?: string;
      /** In the place of the matched prefix. */
      readonly prefixRewrite?: string;
      readonly scheme?: string;
      readonly port?: number;
    }
  | { readonly kind: "respond"; readonly status: number; readonly body: string };

/** `percent` of the requests, above 0, is copied to the cluster. */
export interface Mirror {
  readonly cluster: string;
  readonly percent: number;
}

export type HashKey =
  | { readonly kind: "header"; readonly name: string }
  /** With `ttlMs`, a client without the cookie is given one; 0 makes it last as long as the client's session. */
  | {
      readonly kind: "cookie";
      readonly name: string;
      readonly path?: string;
      readonly ttlMs?: number;
    }
  | { readonly kind: "query"; readonly name: string }
  | { readonly kind: "source-ip" };

/** Cross-origin resource sharing, by the Fetch standard. */
export interface Cors {
  readonly origins: readonly StringMatch[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly exposedHeaders: readonly string[];
  readonly maxAgeMs?: number;
  readonly allowsCredentials?: boolean;
  /** A preflight from another origin goes to the application; otherwise it is answered without permission. */
  readonly forwardsUnmatchedPreflights: boolean;
}

export interface WeightedCluster {
  readonly cluster: string;
  readonly weight: number;
  /** In the place of the route's own. */
  readonly hostRewrite?: string;
  readonly requestHeaders?: HeaderEdit;
  readonly responseHeaders?: HeaderEdit;
}

export interface HeaderEdit {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

export interface RetryPolicy {
  /** Tries after the first. */
  readonly attempts: number;
  /** 0: the route's own timeout only. */
  readonly perTryTimeoutMs: number;
  /** Envoy's names: `connect-failure`, `refused-stream`, `5xx`, `gateway-error`, `reset`, `retriable-status-codes` … */
  readonly on: readonly string[];
  readonly retriableStatusCodes: readonly number[];
  readonly baseBackoffMs: number;
  readonly maxBackoffMs: number;
}

/** When a request that may run twice is sent a second time while the first try goes on. */
export type HedgePolicy =
  | { readonly kind: "delay"; readonly delayMs: number }
  /** Where it has waited longer than so many of a hundred of the route's answers took of late. */
  | { readonly kind: "percentile"; readonly percent: number };

/** Which answers are compressed: of so many bytes at least, or of unknown length, and of one of these types. */
export interface Compression {
  /** The first of those that a client likes best. */
  readonly algorithms: readonly ("gzip" | "br")[];
  readonly minBytes: number;
  /** Lower case, without parameters. */
  readonly contentTypes: readonly string[];
}

/** A bucket that starts full. Numbers are requests. */
export interface RateLimit {
  /** How many may come at once. */
  readonly maxTokens: number;
  readonly tokensPerFill: number;
  readonly fillIntervalMs: number;
}

export interface Fault {
  readonly delay?: { readonly percent: number; readonly fixedMs: number };
  readonly abort?: { readonly percent: number; readonly status: number };
}

export interface Cluster {
  readonly name: string;
  readonly direction: Direction;
  readonly discovery: /** Endpoints come as ClusterEndpoints of the same name. */
    | { readonly kind: "eds" }
    /** Connects to where the application wanted to go. */
    | { readonly kind: "original-destination" }
    /**
     * Addresses of these endpoints are names, or addresses already. What a name leads to now is looked up by the proxy:
     * `every` address of it is an endpoint, or the `first` stands for it until the next look.
     */
    | {
        readonly kind: "dns";
        readonly uses: "every" | "first";
        readonly endpoints: readonly Endpoint[];
      }
    /** Refuses everything. */
    | { readonly kind: "none" };
  readonly connectTimeoutMs: number;
  readonly balancer: BalancerPolicy;
  /** What its endpoints are spoken to in; undefined is HTTP/1.1. `downstream`: in what the request came in. */
  readonly protocol?: "http/2" | "downstream";
  /** Used towards endpoints that are marked `tls`; the peer must present one of these SPIFFE ids. */
  readonly tls?: UpstreamTls;
  /** Used towards endpoints that are not marked: TLS that is not the mesh's. */
  readonly originate?: OriginateTls;
  /** Hosts that came lately get less at first; for balancers that go by weight. */
  readonly slowStart?: SlowStart;
  readonly circuitBreakers: CircuitBreakers;
  /** Requests are shared out to localities by their weights, and then within the locality. */
  readonly isLocalityWeighted?: true;
  /** Where a smaller part of the hosts is usable, all are used, ejected ones too: spreading errors beats overload. */
  readonly panicPercent?: number;
  /** Pooled connections without a request are closed after this long; undefined: the proxy's own limit. */
  readonly idleTimeoutMs?: number;
  /** A connection is closed after so many requests; undefined: never for that. */
  readonly maxRequestsPerConnection?: number;
  /** A connection this old takes no more requests, and a tunnel of bytes is cut off; undefined: never for that. */
  readonly maxConnectionDurationMs?: number;
  /** Connections begin with a PROXY header that says for whom they are; only in the clear. */
  readonly proxyProtocol?: "v1" | "v2";
  /** The kernel asks silent peers whether they are still there. What is undefined is the kernel's. */
  readonly keepAlive?: KeepAlive;
  readonly outlierDetection?: OutlierDetection;
  /** Endpoints are asked how they are, and not used while they are unwell. */
  readonly healthCheck?: HealthCheck;
  /** For metric labels: the Service behind the cluster. */
  readonly service?: {
    readonly namespace: string;
    readonly name: string;
    readonly host: string;
    readonly port: number;
    readonly subset?: string;
  };
}

export type BalancerPolicy =
  | { readonly kind: "least-request" }
  /** Least request, weighed by how long answers take. Heddle's own: Envoy has none. */
  | { readonly kind: "peak-ewma" }
  | { readonly kind: "round-robin" }
  | { readonly kind: "random" }
  /** Consistent hashing by the route's hash keys. */
  | { readonly kind: "ring-hash"; readonly minimumRingSize: number }
  /** `tableSize` is prime. */
  | { readonly kind: "maglev"; readonly tableSize: number };

export interface UpstreamTls {
  readonly certificate: string;
  readonly validation: string;
  readonly sni: string;
  readonly alpn: readonly string[];
  /** Any of these; empty: any identity of the trust domain. */
  readonly subjectAltNames: readonly string[];
}

/** TLS to servers outside the mesh. */
export interface OriginateTls {
  /** Name of the secret that is shown to servers that ask; absent: none is. */
  readonly certificate?: string;
  /** Whom servers' certificates are judged by: a secret's roots, the public authorities, or nobody. */
  readonly trust:
    | { readonly kind: "secret"; readonly name: string }
    | { readonly kind: "public" }
    | { readonly kind: "none" };
  /** Absent: none is sent. */
  readonly sni?: string;
  readonly alpn: readonly string[];
  /** The server's certificate must carry one of these names. Empty: any that its authority vouches for. */
  readonly names: readonly string[];
}

/** Envoy's thresholds; undefined is unlimited, Istio's default. */
export interface CircuitBreakers {
  readonly maxConnections?: number;
  readonly maxPendingRequests?: number;
  readonly maxRequests?: number;
  readonly maxRetries?: number;
  /** Retries under way, as a part of the requests under way; undefined: the proxy's own budget. */
  readonly retryBudget?: { readonly percent: number; readonly minConcurrency: number };
}

/** A host's weight grows from `minPercent` to all of it over the window: `(elapsed / window) ^ (1 / aggression)`. */
export interface SlowStart {
  readonly windowMs: number;
  readonly aggression: number;
  readonly minPercent: number;
}

/** Whole seconds, in milliseconds: the first question after so much silence, further ones at intervals. */
export interface KeepAlive {
  readonly timeMs?: number;
  readonly intervalMs?: number;
  /** Unanswered questions after which the connection is given up. */
  readonly probes?: number;
}

/** One check of each endpoint every interval; the first decides at once. */
export interface HealthCheck {
  readonly probe: HealthProbe;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** While nobody uses the cluster; undefined: 60 s. */
  readonly noTrafficIntervalMs?: number;
  /** While the endpoint is unwell; undefined: as always. */
  readonly unhealthyIntervalMs?: number;
  /** The first check waits up to so long, the others so much longer than their interval. */
  readonly initialJitterMs?: number;
  readonly jitterMs?: number;
  readonly jitterPercent?: number;
  /** So many failures in a row make an endpoint unwell, so many successes well. */
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
}

export type HealthProbe =
  | {
      readonly kind: "http";
      readonly path: string;
      /** Undefined: the Service's. */
      readonly host?: string;
      readonly method: "GET" | "HEAD" | "OPTIONS";
      readonly headers: readonly (readonly [name: string, value: string])[];
      /** Empty: 200. */
      readonly expected: readonly StatusRange[];
      /** Failures that count one by one; any other unexpected status makes the endpoint unwell at once. */
      readonly retriable: readonly StatusRange[];
    }
  /** Bytes in hexadecimal. What comes back must have all of `receive` in it, in order. */
  | { readonly kind: "tcp"; readonly send: string; readonly receive: readonly string[] }
  /** grpc.health.v1; the cluster must speak HTTP/2. */
  | { readonly kind: "grpc"; readonly service: string; readonly authority?: string };

/** Both included. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

/** Consecutive failures of a kind eject a host; 0 is off. */
export interface OutlierDetection {
  readonly consecutive5xx: number;
  readonly consecutiveGatewayErrors: number;
  /** Failures to connect and resets count by themselves, and not as 5xx, where this is given. */
  readonly consecutiveLocalOrigin?: number;
  /** The statuses that are failures; undefined: 500 and above. */
  readonly failureStatuses?: readonly number[];
  /** Ejects hosts whose success rate is so many standard deviations below the mean of all. */
  readonly successRate?: OutlierStatistics & { readonly deviations: number };
  /** Ejects hosts of whose requests this part or more failed. */
  readonly failurePercentage?: OutlierStatistics & { readonly percent: number };
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
}

/** Per interval: fewer requests say nothing of a host, fewer such hosts nothing of all. */
export interface OutlierStatistics {
  readonly minimumHosts: number;
  readonly minimumRequests: number;
}

export interface ClusterEndpoints {
  readonly cluster: string;
  /** Those of one priority and locality stand together. */
  readonly endpoints: readonly Endpoint[];
  /** So much of a priority must be healthy, times this, for all of its traffic to stay; undefined: 140. */
  readonly overprovisioningPercent?: number;
}

/** A place as Kubernetes' labels name it; empty where nobody says. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  /** The endpoint has a sidecar: speak mesh TLS to it. */
  readonly tls: boolean;
  readonly locality?: Locality;
  /** The lowest come first; higher ones where not enough of those are healthy. Undefined: 0. */
  readonly priority?: number;
  /** Share of its locality beside the others of its priority, where the cluster is weighted so; undefined: 1. */
  readonly localityWeight?: number;
  /** Whoever knows says that it is not to be used. */
  readonly isUnhealthy?: true;
  /** For metric labels. */
  readonly workload?: WorkloadLabels;
}

/** What Istio's metrics say of a workload. */
export interface WorkloadLabels {
  readonly namespace: string;
  /** Name of the owner, e.g. the Deployment. */
  readonly workload: string;
  readonly app: string;
  readonly version: string;
  readonly serviceAccount: string;
}

/** One RBAC filter. `deny`: refuse when a policy matches. `allow`: refuse unless one matches. */
export interface Rbac {
  readonly action: "allow" | "deny";
  readonly policies: readonly RbacPolicy[];
}

/** Matches when any permission and any principal match. */
export interface RbacPolicy {
  /** `ns[shop]-policy[payments]-rule[0]`, as Istio names them. */
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly principals: readonly Principal[];
}

export type Permission =
  | { readonly kind: "any" }
  | { readonly kind: "and" | "or"; readonly of: readonly Permission[] }
  | { readonly kind: "not"; readonly of: Permission }
  | { readonly kind: "destination-port"; readonly port: number }
  | { readonly kind: "path"; readonly match: StringMatch }
  | { readonly kind: "header"; readonly header: HeaderMatch };

export type Principal =
  | { readonly kind: "any" }
  | { readonly kind: "and" | "or"; readonly of: readonly Principal[] }
  | { readonly kind: "not"; readonly of: Principal }
  /** The peer's SPIFFE id without `spiffe://`, as AuthorizationPolicy writes it. */
  | { readonly kind: "authenticated"; readonly match: StringMatch }
  | { readonly kind: "source-ip"; readonly cidr: string }
  | { readonly kind: "header"; readonly header: HeaderMatch };

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
  /** Of a gateway `router~…`, of a sidecar `sidecar~<pod ip>~<pod>.<namespace>~<namespace>.svc.cluster.local`, Istio's form. */
  readonly id: string;
  readonly namespace: string;
  readonly pod: string;
  readonly address: string;
  readonly workload: WorkloadLabels;
}
