/**
 * Objects with versions: the one interface behind which SQLite, etcd and a Kubernetes API server can stand.
 *
 * Versions are one increasing sequence over all kinds. Writes compare and swap; a watch gives every change after a
 * version exactly once and in order, or says `expired` when it no longer can, and the watcher lists again.
 */

import type { Resource } from "../api/resource.ts";

export interface ObjectKey {
  readonly kind: string;
  /** Empty for kinds without a namespace. */
  readonly namespace: string;
  readonly name: string;
}

export interface StoreEvent {
  readonly type: "added" | "modified" | "deleted";
  readonly version: number;
  /** For `deleted`: the last state, with the deletion's version. */
  readonly object: Resource;
  /** The state before, where the store still knows it: what tells a watcher with a selector that an object left. */
  readonly previous?: Resource;
}

export interface Store {
  get(key: ObjectKey): Promise<Resource | undefined>;
  /** All objects of a kind (of all kinds where undefined), and the version the list is from. */
  list(
    kind?: string,
    namespace?: string,
  ): Promise<{ readonly version: number; readonly objects: readonly Resource[] }>;
  /** Throws MeshError `store.exists`. Returns the object with uid, resourceVersion and creationTimestamp. */
  create(object: Resource): Promise<Resource>;
  /**
   * Replaces the object if its stored resourceVersion equals the given one's (where that is absent: whatever is
   * stored). Throws `store.conflict` or `store.absent`. A write that changes nothing returns what is stored.
   */
  update(object: Resource): Promise<Resource>;
  /** Throws `store.absent`; with `uid` given, `store.conflict` where another object has that name by now. */
  delete(key: ObjectKey, uid?: string): Promise<Resource>;
  /** Changes after `version`. Ends by throwing `store.expired` where history no longer reaches back that far. */
  watch(version: number, signal: AbortSignal): AsyncIterable<StoreEvent>;
  close(): Promise<void>;
}
