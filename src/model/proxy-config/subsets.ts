/**
 * Parts of a cluster's endpoints, told apart by what is said of them to balancers: a route names the part that it means.
 */

import type { Json } from "../../base/json.ts";

/** What is said to balancers (Envoy's `envoy.lb`): of an endpoint, or by a route of the endpoints that it means. */
export type BalancerMetadata = Readonly<Record<string, Json>>;

export interface Subsets {
  /** One at least. */
  readonly selectors: readonly SubsetSelector[];
  /** Where a route names no part, or one that has no endpoint. */
  readonly fallback: SubsetFallback;
  /** What endpoints of the default part say, all of it. */
  readonly defaultPart: BalancerMetadata;
}

/** Endpoints that have all of these keys are parts of the cluster by their values; a route must name exactly them. */
export interface SubsetSelector {
  /** Sorted; each once. */
  readonly keys: readonly string[];
  /** Undefined: as the cluster does. */
  readonly fallback?: SubsetFallback;
}

/** Nobody gets the request, or any endpoint, or one of the default part. */
export type SubsetFallback = "none" | "any" | "default";
