/** The way from the source to its candidates: what sidecar and kernel make of a connection before policy is asked. */

import type { Pod } from "../../api/k8s/core.ts";
import type { Diagnostic } from "../../base/compiled.ts";
import type { ProxyConfig } from "../../model/proxy-config.ts";
import type { World } from "../registry/world.ts";
import type { Destination } from "./destination.ts";
import type { BranchVerdict, Candidate, HttpRequest, Step } from "./explanation.ts";
import type { Via } from "./seen.ts";

export interface Way {
  readonly steps: readonly Step[];
  readonly parts: readonly Part[];
}

/** One destination among several, with its share of the traffic. */
export interface Part {
  /** Of 1. */
  readonly share: number;
  readonly steps: readonly Step[];
  readonly end: PartEnd;
}

export type PartEnd =
  /** Nobody is asked: it ends here. */
  | { readonly kind: "verdict"; readonly verdict: BranchVerdict }
  | {
      readonly kind: "candidates";
      readonly via: Via;
      readonly candidates: readonly Candidate[];
      /** As it arrives, after the route's edits; absent where HTTP is not understood. */
      readonly request?: HttpRequest;
    };

/** All that the parts of the way need to know. */
export interface SidecarQuestion {
  readonly world: World;
  readonly source: Pod;
  readonly destination: Destination;
  readonly request: HttpRequest | undefined;
  readonly config: ProxyConfig;
  readonly notes: readonly Diagnostic[];
  /** `namespace/name` of the Gateway by which the request came; absent: it is an application's. */
  readonly gateway?: string;
}
