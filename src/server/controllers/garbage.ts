/** Deletes what has no owner any more: pods of a deleted Deployment, slices of a deleted Service. */

import type { OwnerReference, Resource } from "../../api/resource.ts";
import { objectNamed, objectsOf, type World } from "../../core/registry/world.ts";
import type { Controller, Write } from "./controller.ts";

export const garbage: Controller = {
  name: "garbage",
  reconcile(world) {
    const writes: Write[] = [];
    for (const kind of world.objects.keys()) {
      for (const object of objectsOf<Resource>(world, kind)) {
        const { ownerReferences = [], deletionTimestamp } = object.metadata;
        if (ownerReferences.length === 0 || deletionTimestamp !== undefined) continue;
        const owned = ownerReferences.some((owner) => isThere(world, object, owner));
        if (!owned) writes.push({ verb: "delete", object });
      }
    }
    return { writes };
  },
};

/** Owners are in the same namespace, or have none; a later object of the same name is another owner. */
function isThere(world: World, object: Resource, owner: OwnerReference): boolean {
  return [object.metadata.namespace ?? "", ""].some(
    (namespace) =>
      objectNamed(world, owner.kind, namespace, owner.name)?.metadata.uid === owner.uid,
  );
}
