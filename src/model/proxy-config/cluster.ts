/** A destination as its callers see it: how its endpoints are found, chosen, connected to and limited. */

import type { Endpoint } from "./endpoints.ts";
import type { HealthCheck, OutlierDetection } from "./health.ts";
import type { Direction } from "./listener.ts";
import type { Subsets } from "./subsets.ts";

export interface Cluster {
  readonly name: string;
  readonly direction: Direction;
  readonly discovery: /** Endpoints come as ClusterEndpoints of the same name, or of that which is given. */
    | { readonly kind: "eds"; readonly endpoints?: string }
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
  /** Routes may mean a part of its endpoints; localities then share nothing by weight. */
  readonly subsets?: Subsets;
  /** Where a smaller part of the hosts is usable, all are used, ejected ones too: spreading errors beats overload. */
  readonly panicPercent?: number;
  /** Pooled connections without a request are closed after this long; undefined: the proxy's own limit. */
  readonly idleTimeoutMs?: number;
  /** A connection is closed after so many requests; undefined: never for that. */
  readonly maxRequestsPerConnection?: number;
  /** So many requests at a time are put on a connection of HTTP/2; undefined: as many as the endpoint takes. */
  readonly maxConcurrentStreams?: number;
  /** Connections of HTTP/2 are asked whether somebody is there. */
  readonly http2KeepAlive?: Http2KeepAlive;
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
  /**
   * The least busy of so many that are drawn, or of all; undefined: of two. `bias` counts where weights differ: a host
   * gets its weight's part over (requests under way + 1) to this power, and nobody is drawn; undefined: 1, by draws.
   */
  | {
      readonly kind: "least-request";
      readonly choices?: number | "all";
      readonly bias?: number;
    }
  /** Least request, weighed by how long answers take. Heddle's own: Envoy has none. */
  | { readonly kind: "peak-ewma" }
  | { readonly kind: "round-robin" }
  | { readonly kind: "random" }
  /** Consistent hashing by the route's hash keys. */
  | ({
      readonly kind: "ring-hash";
      readonly minimumRingSize: number;
      readonly maximumRingSize?: number;
    } & HashBalancing)
  /** `tableSize` is prime. */
  | ({ readonly kind: "maglev"; readonly tableSize: number } & HashBalancing);

export interface HashBalancing {
  /** No host has more under way than so much of its fair part, 100 at least; undefined: keys stay wherever they are. */
  readonly balancePercent?: number;
  /** Hosts are known by their endpoints' host names, and by their addresses only where they have none. */
  readonly hashesNames?: true;
}

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

/** A PING every interval; the connection is given up where nothing at all comes back for `timeoutMs`. */
export interface Http2KeepAlive {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}
