/**
 * The world: one immutable picture of everything that users and controllers have written.
 *
 * Compilers take a World and nothing else, so that the same objects always give the same configuration. The server
 * builds the next World from the last one and a change; nobody mutates one.
 */

import type { Resource } from "../../api/resource.ts";

export interface World {
  /** Highest store version that is contained. */
  readonly version: number;
  /** Objects by kind, then by `namespace/name` (or `name` where the kind has no namespace), in sorted order. */
  readonly objects: ReadonlyMap<string, ReadonlyMap<string, Resource>>;
}
