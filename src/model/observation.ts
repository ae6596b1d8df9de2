/**
 * What is observed of live traffic, as it travels: sidecar → agent → server → whoever looks (CLI, dashboard).
 *
 * Two families. *Reports* are increases since the last report, so that a lost one loses its second and nothing else,
 * and a restarted sidecar or agent needs no memory. *Views* are what the server answers on `/heddle/v1/…`; they hold
 * rates and quantiles for a span of time and never NaN: what is not known is absent.
 *
 * Times are ms; instants are ms since the epoch; rates are per second; shares are 0 … 1.
 *
 * Not here: how histograms are cut into buckets (base/log-histogram.ts), and how reports become views (core/traffic).
 */

import type { SparseHistogram } from "../base/log-histogram.ts";
import type { NodeName, QualifiedName } from "./names.ts";
import type { CheckOrder, CheckProgress } from "./network-check.ts";

// ---- reports: sidecar → agent → server ---------------------------------------------------------------------------

/**
 * One direction of talk between two workloads, seen by the source's sidecar; where the source has none, by the
 * destination's, under the source `outside`.
 */
export interface EdgeCounts {
  /** `namespace/workload`, or `outside` for a caller without identity. */
  readonly source: QualifiedName;
  /** `namespace/service`, or the name of what stands in for one (pass-through, black hole). */
  readonly destination: string;
  readonly protocol: "http" | "grpc" | "tcp";
  /** Version that answered; `-` where it has none. */
  readonly version: string;
  /** Whether the peer's certificate was verified. Undefined where nobody was reached. */
  readonly mtls?: boolean;
  /**
   * Requests by response code (`0`: none came). Connections, where the protocol is `tcp`, count under `-`, and under
   * `0` where there was nobody to connect to.
   */
  readonly codes: Readonly<Record<string, number>>;
  /** Requests by response flag other than `-` (UF, UO, UT …). */
  readonly flags: Readonly<Record<string, number>>;
  /** Retries made, attempts beyond the first. */
  readonly retries: number;
  /** Duration of requests, ms; of `tcp` and of protocol switches (101) none. */
  readonly durations: SparseHistogram;
  readonly durationSumMs: number;
}

/** What one pod served, seen by its own sidecar: the raw material of queueing models. */
export interface ServingCounts {
  /** `namespace/pod`. */
  readonly pod: QualifiedName;
  /** `namespace/service` that the requests were for. */
  readonly service: string;
  readonly requests: number;
  /** Requests answered with 5xx or cut off. */
  readonly failed: number;
  /** From the request's arrival at the sidecar until its answer is complete, ms. */
  readonly responses: SparseHistogram;
  readonly responseSumMs: number;
  /** Time in which at least one request was under way, ms. */
  readonly busyMs: number;
  /** Integral of the number of requests under way over time, ms. */
  readonly inFlightMs: number;
  /** Times between arrivals: their number, sum and sum of squares, ms and ms². */
  readonly gaps: number;
  readonly gapSumMs: number;
  readonly gapSquareSumMs2: number;
  /**
   * Time that each request kept a single worker that serves in order of arrival: from its arrival or the departure
   * before it, whichever is later, until its own departure.
   */
  readonly services: SparseHistogram;
  readonly serviceSumMs: number;
  readonly serviceSquareSumMs2: number;
  /**
   * Responses by how many requests were under way when theirs arrived (index 0: none; the last one: so many or more).
   * How many a pod serves at a time shows here: until all its workers are busy, a response takes no longer.
   */
  readonly found: readonly FoundCounts[];
}

export type FoundCounts = readonly [
  requests: number,
  responseSumMs: number,
  responseSquareSumMs2: number,
];

/** What one sidecar counted since it started: the answer of its admin path `/heddle/observation`. */
export interface SidecarObservation {
  /** Tells one start of the sidecar from the next: counts go on only while it is the same. */
  readonly start: string;
  readonly startedAt: number;
  readonly edges: readonly EdgeCounts[];
  readonly serving: readonly ServingCounts[];
  /** The newest few. */
  readonly losses: readonly EndpointLoss[];
}

/** An endpoint that failed so often in a row that the source's sidecar ejected it. */
export interface EndpointLoss {
  /** `namespace/pod` of the caller. */
  readonly source: QualifiedName;
  /** `namespace/service`. */
  readonly service: string;
  /** `address:port`. */
  readonly endpoint: string;
  /** Instant of the first failure of the run. */
  readonly failedAt: number;
  readonly ejectedAt: number;
  readonly failedAttempts: number;
  /** Requests that failed there for good. */
  readonly lostRequests: number;
}

/** Packets that the kernel refused, from NFLOG. */
export interface DropCounts {
  /** `namespace/pod` where the address is a pod's, else the address. */
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  readonly protocol: "tcp" | "udp" | "sctp" | "icmp" | "other";
  readonly direction: "ingress" | "egress";
  /** In words, with the policies that isolate the pod: what `core/dataplane/names.ts` reads back. */
  readonly reason: string;
  readonly policies: readonly QualifiedName[];
  readonly packets: number;
}

/** Which requests somebody wants to see one by one. All that is given must hold. */
export interface TapFilter {
  readonly method?: string;
  /** Beginning of the path. */
  readonly path?: string;
  /** `503`, or a class: `5xx`. */
  readonly status?: string;
  /** Name of the caller's workload, with or without its namespace. */
  readonly from?: string;
  /** Name of the Service that is called, with or without its namespace. */
  readonly to?: string;
}

/** A tap that a node's agent is to serve; it comes with the answer to a report, and ends when it no longer does. */
export interface TapOrder {
  readonly id: string;
  readonly filter: TapFilter;
  /** Whose sidecars; absent: all. */
  readonly pods?: readonly QualifiedName[];
}

/** The answer to a report. */
export interface ReportAnswer {
  readonly taps: readonly TapOrder[];
  readonly checks: readonly CheckOrder[];
}

/** What a tap saw on a node since the last report; also sent when it saw nothing, which says that it is on. */
export interface TapBatch {
  readonly tap: string;
  readonly requests: readonly TappedRequest[];
  /** Requests that matched and were too many to show. */
  readonly leftOut: number;
}

/** A line of `GET /heddle/v1/tap?method=&path=&status=&from=&to=&target=`. */
export type TapEvent =
  /** Every node that reports now serves the tap. */
  | { readonly kind: "on"; readonly nodes: number }
  | { readonly kind: "request"; readonly request: TappedRequest }
  | { readonly kind: "left-out"; readonly count: number };

/** One request of a tap, as one of its two ends saw it. */
export interface TappedRequest {
  readonly at: number;
  readonly reporter: "source" | "destination";
  readonly source: string;
  readonly destination: string;
  readonly pod: QualifiedName;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly status: number;
  readonly flag: string;
  readonly durationMs: number;
  readonly mtls: boolean;
  readonly route?: string;
  readonly upstream?: string;
}

/** What an agent says of one span of time. */
export interface NodeReport {
  readonly node: NodeName;
  readonly from: number;
  readonly to: number;
  readonly edges: readonly EdgeCounts[];
  readonly serving: readonly ServingCounts[];
  readonly drops: readonly DropCounts[];
  readonly losses: readonly EndpointLoss[];
  /** Pods whose sidecars answered, sorted. */
  readonly sidecars: readonly QualifiedName[];
  readonly taps: readonly TapBatch[];
  /** How far the node is in each check of the network that it was ordered. */
  readonly checks: readonly CheckProgress[];
}

// ---- views: server → CLI and dashboard ---------------------------------------------------------------------------

export interface Latency {
  readonly p50Ms?: number;
  readonly p90Ms?: number;
  readonly p99Ms?: number;
  readonly meanMs?: number;
}

/** Rates and quality of requests in some span. */
export interface GoldenSignals extends Latency {
  readonly requestsPerSecond: number;
  /** How many were counted in the span. */
  readonly requests?: number;
  /** Absent without requests. */
  readonly successShare?: number;
  readonly codesPerSecond: Readonly<Record<string, number>>;
  readonly retriesPerSecond: number;
}

export type EdgeHealth = "healthy" | "degraded" | "failing" | "refused" | "idle";

export interface GraphEdge {
  readonly id: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: "http" | "grpc" | "tcp";
  readonly signals: GoldenSignals;
  readonly health: EdgeHealth;
  readonly mtls?: boolean;
  /** Share of requests by version that answered. */
  readonly versions: Readonly<Record<string, number>>;
  /** Packets refused by policy between the two. */
  readonly dropsPerSecond: number;
  readonly dropReason?: string;
}

/** A workload that calls, or a Service that is called; one node where both are the same thing. */
export interface GraphNode {
  readonly id: string;
  readonly kind: "workload" | "service" | "outside";
  readonly namespace: string;
  readonly name: string;
  readonly signals: GoldenSignals;
  readonly health: EdgeHealth;
  readonly pods: number;
  readonly readyPods: number;
  readonly hasSidecar: boolean;
}

/** `GET /heddle/v1/graph?seconds=10`, and the event `graph` of `GET /heddle/v1/stream`. */
export interface TrafficGraph {
  readonly at: number;
  readonly seconds: number;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

export interface SignalPoint extends GoldenSignals {
  /** End of the slot. */
  readonly at: number;
}

export interface EndpointView {
  readonly pod: QualifiedName;
  readonly address: string;
  readonly port: number;
  readonly node: NodeName;
  readonly version: string;
  readonly isReady: boolean;
  readonly hasSidecar: boolean;
  readonly signals: GoldenSignals;
  /** Share of time in which at least one request was under way. */
  readonly busyShare?: number;
}

/** An object that has a say in how a service is called. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** As the user wrote it, without status and managed fields. */
  readonly yaml: string;
}

export interface RouteView {
  /** What requests it takes, in words: `GET /reviews*, header end-user = jason`. */
  readonly match: string;
  readonly to: readonly { readonly destination: string; readonly weightShare: number }[];
  /** Timeout, retries, fault and the like, in words. */
  readonly policies: readonly string[];
  /** The object that says so: `VirtualService shop/catalogue http[0]`; `default` where nobody said anything. */
  readonly from: string;
}

export interface ServicePortView {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

/** `GET /heddle/v1/services/NAMESPACE/NAME?seconds=3600`. */
export interface ServiceView {
  readonly at: number;
  readonly namespace: string;
  readonly name: string;
  readonly host: string;
  readonly clusterAddress?: string;
  readonly ports: readonly ServicePortView[];
  readonly now: GoldenSignals;
  readonly history: readonly SignalPoint[];
  readonly callers: readonly GraphEdge[];
  readonly calls: readonly GraphEdge[];
  readonly endpoints: readonly EndpointView[];
  readonly routes: readonly RouteView[];
  readonly objects: readonly ObjectReference[];
}

/** What one pod serves, as its own sidecar sees it. */
export interface PodSignals {
  readonly pod: QualifiedName;
  readonly node: NodeName;
  /** `namespace/service`, sorted. */
  readonly services: readonly string[];
  readonly isReady: boolean;
  readonly hasSidecar: boolean;
  readonly signals: GoldenSignals;
  /** Absent where nothing was reported. */
  readonly busyShare?: number;
  /** Mean number of requests under way. */
  readonly inFlight?: number;
}

/** `GET /heddle/v1/pods?seconds=10`: every pod that has not ended. */
export interface PodsView {
  readonly at: number;
  readonly seconds: number;
  readonly pods: readonly PodSignals[];
}

/** `GET /heddle/v1/nodes`. */
export interface NodesView {
  readonly at: number;
  readonly nodes: readonly {
    readonly name: NodeName;
    readonly address: string;
    readonly isReady: boolean;
    /** Instant of the last report; absent before the first. */
    readonly reportedAt?: number;
    readonly blocks: readonly {
      readonly cidr: string;
      readonly used: number;
      readonly size: number;
    }[];
    readonly peers: readonly {
      readonly node: NodeName;
      readonly address: string;
      readonly encap: string;
    }[];
    readonly pods: readonly {
      readonly pod: QualifiedName;
      readonly address?: string;
      readonly phase: string;
      readonly isReady: boolean;
      readonly sidecar: "ready" | "none" | "unknown";
    }[];
  }[];
}
