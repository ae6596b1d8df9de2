/** Who may do what, for connections and requests: RBAC as Envoy's filters have it. */

import type { HeaderMatch, StringMatch } from "./match.ts";

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
  /** Who the connection is from. */
  | { readonly kind: "source-ip"; readonly cidr: string }
  /** Where the request began: what is said last in X-Forwarded-For; at an edge, as far as that is trusted. */
  | { readonly kind: "remote-ip"; readonly cidr: string }
  | { readonly kind: "header"; readonly header: HeaderMatch };
