/**
 * What a ledger needs of a disk: the last state at start, and one durable step for each batch of changes.
 *
 * Keeping this apart from the ledger gives every store the same semantics by construction; a journal only decides
 * what "kept" means.
 */

import type { Resource } from "../api/resource.ts";
import type { StoreEvent } from "./store.ts";

export interface Journal {
  /** Everything that was committed before. `recent` are the newest changes, oldest first, without gaps. */
  load(): {
    readonly version: number;
    readonly objects: readonly Resource[];
    readonly recent: readonly StoreEvent[];
  };
  /** All of them or none: returns when they are kept, throws where none is. */
  commit(events: readonly StoreEvent[]): void;
  close(): void;
}
