/**
 * What was derived, remembered for as long as what it was derived from lives.
 *
 * Worlds share the objects of kinds that did not change; what depends on some kinds only is therefore remembered by
 * those, and survives every change of the others.
 */

import type { Resource } from "../../api/resource.ts";
import { objectsOf, type World } from "../registry/world.ts";

export function memoized<K extends object, V>(derive: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (key) => {
    const before = known.get(key);
    if (before !== undefined) return before.value;
    const value = derive(key);
    known.set(key, { value });
    return value;
  };
}

/** `derive` may look at objects of these kinds only. */
export function memoizedByKinds<V>(
  kinds: readonly string[],
  derive: (world: World) => V,
): (world: World) => V {
  const root = new WeakMap<readonly Resource[], Branch<V>>();
  return (world) => {
    let branches = root;
    let branch: Branch<V> | undefined;
    for (const kind of kinds) {
      const objects = objectsOf(world, kind);
      branch = branches.get(objects) ?? { next: new WeakMap() };
      branches.set(objects, branch);
      branches = branch.next;
    }
    const leaf = branch ?? { next: new WeakMap() };
    leaf.made ??= { value: derive(world) };
    return leaf.made.value;
  };
}

interface Branch<V> {
  readonly next: WeakMap<readonly Resource[], Branch<V>>;
  made?: { readonly value: V };
}
