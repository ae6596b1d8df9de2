/**
 * The world: one immutable picture of everything that users and controllers have written.
 *
 * Compilers take a World and nothing else, so that the same objects always give the same configuration. The server
 * builds the next World from the last one and a change; nobody mutates one. Kinds that a change does not touch keep
 * their map, so what is derived from a kind can be remembered by that map's identity.
 */

import type { Resource } from "../../api/resource.ts";

export interface World {
  /** Highest store version that is contained. */
  readonly version: number;
  /** Objects by kind, then by `namespace/name` (or `name` where the kind has no namespace), in sorted order. */
  readonly objects: ReadonlyMap<string, ReadonlyMap<string, Resource>>;
}

/** A change to one object; a store's event has this form. For `deleted`, `object` is the last state. */
export interface WorldChange {
  readonly type: "added" | "modified" | "deleted";
  readonly version: number;
  readonly object: Resource;
}

export function emptyWorld(): World {
  return { version: 0, objects: new Map() };
}

/** The world after the changes, in order. Costs one copy of each kind that is touched, however many changes. */
export function applyToWorld(world: World, changes: Iterable<WorldChange>): World {
  let version = world.version;
  const touched = new Map<string, Map<string, Resource>>();
  const grown = new Set<string>();
  for (const change of changes) {
    const kind = change.object.kind;
    const objects = touched.get(kind) ?? new Map(world.objects.get(kind));
    touched.set(kind, objects);
    const key = objectKey(change.object);
    if (change.type === "deleted") {
      objects.delete(key);
    } else {
      if (!objects.has(key)) grown.add(kind);
      objects.set(key, change.object);
    }
    version = Math.max(version, change.version);
  }
  if (touched.size === 0) return version === world.version ? world : { ...world, version };
  const objects = new Map(world.objects);
  for (const [kind, entries] of touched) {
    if (entries.size === 0) objects.delete(kind);
    else objects.set(kind, grown.has(kind) ? sortedByKey(entries) : entries);
  }
  return { version, objects };
}

/** A world of just these objects, e.g. parsed from files. Versions are counted up from 1. */
export function worldOf(objects: Iterable<Resource>): World {
  let version = 0;
  return applyToWorld(
    emptyWorld(),
    Array.from(objects, (object) => ({ type: "added" as const, version: ++version, object })),
  );
}

/** `namespace/name`, or `name` for kinds without a namespace. */
export function objectKey(object: Resource): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/**
 * All objects of a kind, sorted by key: `objectsOf<Pod>(world, "Pod")`. The same array for the same objects, so it
 * can be a key to what was derived from it.
 */
export function objectsOf<T extends Resource>(world: World, kind: T["kind"]): readonly T[] {
  const objects = world.objects.get(kind);
  if (objects === undefined) return none;
  let list = lists.get(objects);
  if (list === undefined) {
    list = [...objects.values()];
    lists.set(objects, list);
  }
  return list as readonly T[]; // The map holds only objects of this kind, which the API server has validated.
}

/**
 * One object by name, e.g. `objectNamed<Service>(world, "Service", "shop", "cart")`; namespace "" where the kind has
 * none.
 */
export function objectNamed<T extends Resource>(
  world: World,
  kind: T["kind"],
  namespace: string,
  name: string,
): T | undefined {
  const key = namespace === "" ? name : `${namespace}/${name}`;
  return world.objects.get(kind)?.get(key) as T | undefined; // As in objectsOf.
}

/** Code-unit order: the same on every machine, unlike a locale's. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const none: readonly never[] = [];
const lists = new WeakMap<ReadonlyMap<string, Resource>, readonly Resource[]>();

function sortedByKey(entries: ReadonlyMap<string, Resource>): Map<string, Resource> {
  return new Map([...entries].sort(([a], [b]) => compareText(a, b)));
}
