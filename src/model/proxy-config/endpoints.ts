/** Who answers for a cluster: addresses, weights, places. */

import type { BalancerMetadata } from "./subsets.ts";

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
  /** For consistent hashing by names. */
  readonly hostname?: string;
  /**
   * What is said of it to balancers: routes may mean a part of a cluster by it, and `hash_key` is what consistent hashing
   * knows it by, whatever else it is called.
   */
  readonly metadata?: BalancerMetadata;
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
