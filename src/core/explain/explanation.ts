/**
 * What `explain` is asked and what it answers: JSON all through, so that a terminal, a page and a test read the same.
 *
 * A walk has one trunk (`steps`: name, capture, route …) and a branch for each group of endpoints that fare alike; the
 * verdict sums the branches up.
 */

export interface Question {
  /** A pod, `namespace/name`, or a Deployment or app: its first ready pod. */
  readonly source: string;
  /** Where the source is looked for, if it does not say itself. */
  readonly namespace?: string;
  /** As somebody would write it: `cart`, `cart.shop`, `shop/cart`, a pod, an address. */
  readonly destination: string;
  /** May be left out where the destination has only one. */
  readonly port?: number;
  /** How the application speaks; without, what the destination's port is declared to be. */
  readonly protocol?: "http" | "tcp";
  readonly method?: string;
  /** With its query. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Explanation {
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  readonly protocol: "http" | "tcp" | "udp";
  /** Present for `http`. */
  readonly request?: HttpRequest;
  readonly steps: readonly Step[];
  readonly branches: readonly Branch[];
  readonly verdict: Verdict;
}

export interface HttpRequest {
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** In the order of the way. `service` is the kernel's choice of an endpoint, the next four are the sidecar's. */
export type StepName =
  | "name"
  | "capture"
  | "service"
  | "listener"
  | "route"
  | "cluster"
  | "endpoints"
  | "egress policy"
  | "ingress policy"
  | "peer authentication"
  | "authorization"
  | "rate limit";

export interface Step {
  readonly step: StepName;
  readonly outcome: "pass" | "refuse";
  /** The objects that decided; empty where no object has a say and a default holds. */
  readonly by: readonly Decider[];
  readonly detail: string;
}

export interface Decider {
  readonly kind: string;
  /** `namespace/name`, or `name` for kinds without a namespace. */
  readonly name: string;
  /** In the object: `spec.http[0]`. */
  readonly path?: string;
}

/** Endpoints that fare alike, and the part of the traffic that meets them. */
export interface Branch {
  /** Of 1. */
  readonly share: number;
  readonly candidates: readonly Candidate[];
  readonly steps: readonly Step[];
  readonly verdict: BranchVerdict;
}

/** A place where the connection may end. */
export interface Candidate {
  readonly address: string;
  readonly port: number;
  /** `namespace/name`; absent outside the cluster. */
  readonly pod?: string;
  readonly node?: string;
  /** Spoken to in mesh TLS. */
  readonly mtls: boolean;
}

export type BranchVerdict = Exclude<Verdict, { readonly outcome: "mixed" }>;

export type Verdict =
  | { readonly outcome: "allowed"; readonly sentence: string }
  /** The source's own sidecar answers, as it was told to: a redirect, a direct response, a fault. */
  | {
      readonly outcome: "answered";
      readonly status: number;
      readonly sentence: string;
    }
  | {
      readonly outcome: "refused";
      readonly at: StepName;
      readonly seen: Seen;
      /** All objects that take part in the refusal. */
      readonly by: readonly Decider[];
      /** What would have allowed it, where something nearly does. */
      readonly nearest?: NearMiss;
      readonly sentence: string;
    }
  /** It depends on the endpoint: the branches say how. */
  | { readonly outcome: "mixed"; readonly allowedShare: number; readonly sentence: string };

/** How the application notices. */
export type Seen =
  | { readonly kind: "no such name" }
  /** Nothing happens until somebody's patience ends; the status is the sidecar's, when its own does. */
  | { readonly kind: "times out"; readonly status?: number; readonly flag?: string }
  | { readonly kind: "connection refused" }
  | { readonly kind: "connection closed" }
  /** The flag is what the access log of the answering sidecar shows. */
  | { readonly kind: "status"; readonly status: number; readonly flag?: string };

/** The rule that comes nearest to allowing, and what keeps it from doing so. */
export interface NearMiss {
  readonly rule: Decider;
  /** Fewest possible; the first is the one to look at. */
  readonly differences: readonly Difference[];
}

export interface Difference {
  /** In the rule's object. */
  readonly path: string;
  readonly have: string;
  readonly want: string;
}
