/** A store that forgets everything when it is closed: for tests, and for trying manifests. */

import { randomUUID } from "node:crypto";
import type { Journal } from "./journal.ts";
import { type LedgerOptions, openLedger } from "./ledger.ts";
import type { Store } from "./store.ts";

export type MemoryStoreOptions = Partial<Omit<LedgerOptions, "journal">>;

export function memoryStore(options: MemoryStoreOptions = {}): Store {
  return openLedger({
    journal: nowhere,
    historyBound: 10_000,
    now: Date.now,
    newUid: randomUUID,
    ...options,
  });
}

const nowhere: Journal = {
  load: () => ({ version: 0, objects: [], recent: [] }),
  commit() {},
  close() {},
};
