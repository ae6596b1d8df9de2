/**
 * What a controller is: a function from the World to the writes that bring it closer to what is wanted.
 *
 * It remembers nothing and reacts to no event: it looks at the whole World and says what is missing. Running it twice
 * on the same World gives the same writes, and running it on the World after them gives none.
 */

import type { Resource } from "../../api/resource.ts";
import type { Random } from "../../base/random.ts";
import type { World } from "../../core/registry/world.ts";

export interface Controller {
  readonly name: string;
  /** Kinds whose changes matter; undefined: all. */
  readonly reads?: readonly string[];
  readonly reconcile: (world: World, given: Given) => Reconciled;
}

/** What a controller may use besides the World. */
export interface Given {
  readonly nowMs: number;
  readonly random: Random;
}

export interface Reconciled {
  readonly writes: readonly Write[];
  /** Look again after this long even if nothing changes. */
  readonly againInMs?: number;
}

export type Write =
  | { readonly verb: "create"; readonly object: Resource }
  /** Only if nobody changed it since. */
  | { readonly verb: "update"; readonly object: Resource }
  /** Replaces the status of `object`, whatever else has changed. */
  | { readonly verb: "status"; readonly object: Resource; readonly status: unknown }
  | { readonly verb: "delete"; readonly object: Resource; readonly gracePeriodSeconds?: number };
