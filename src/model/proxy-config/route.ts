/** Which requests go where, and what is done to them on the way: routes, their matches and actions. */

import type { HeaderMatch, StringMatch } from "./match.ts";
import type { BalancerMetadata } from "./subsets.ts";

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
  /**
   * `namespace/name` of the VirtualService that made it, for explain and access log; undefined for the default route.
   */
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
  /** Of the path; an expression says by itself what case means. */
  readonly ignoreCase?: boolean;
}

export type PathMatch =
  | { readonly kind: "prefix"; readonly value: string }
  | { readonly kind: "exact"; readonly value: string }
  /** RE2 syntax, anchored at both ends. */
  | { readonly kind: "regex"; readonly value: string };

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
      /** Which part of a cluster is meant, where it has parts. */
      readonly metadata?: BalancerMetadata;
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
      /** Of the cookie that is given out, e.g. `SameSite=Lax`; those without a value have an empty one. */
      readonly attributes?: readonly (readonly [name: string, value: string])[];
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
  /** Beside the route's, and before it where both name a key. */
  readonly metadata?: BalancerMetadata;
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
  /** A host that had the request may get it again, though there are others. */
  readonly mayRepeatHosts?: true;
  /** After each so many tries, priorities that have had one are left out while others may be used. */
  readonly triesAtPriorities?: number;
}

/** When a request that may run twice is sent a second time while the first try goes on. */
export type HedgePolicy = (
  | { readonly kind: "delay"; readonly delayMs: number }
  /** Where it has waited longer than so many of a hundred of the route's answers took of late. */
  | { readonly kind: "percentile"; readonly percent: number }
) & {
  /** Calls of gRPC may run twice; their method, which is always POST, does not say it. */
  readonly includesGrpc?: true;
};

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

/** The answer, by its status of HTTP or of gRPC; either is translated where the request is one of the other. */
export type Abort = { readonly percent: number } & (
  | { readonly status: number }
  | { readonly grpcStatus: number }
);

export interface Fault {
  readonly delay?: { readonly percent: number; readonly fixedMs: number };
  readonly abort?: Abort;
}
